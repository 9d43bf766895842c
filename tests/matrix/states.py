"""The states of an order, each reached by holding a provider or a context: the sections of the
matrix."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from config.wiring import PROCESSES
from eventstore.money import Money
from inventory.commands import ReceiveStock
from orders.commands import ImportOrder, ListProduct
from orders.events import Charge, OrderLine, Portion
from orders.order.projections import ORDER_DETAILS
from orders.returns.saga import RETURNING
from payments.events import PaymentCompleted, PaymentRequested
from shipping.commands import Address
from shipping.events import ShipmentRequested
from tools.verification.simulation import facts
from tools.verification.simulation.outside import Outside
from tools.verification.simulation.world import EVENT, HOUR, MINUTE, World

ORDER, SKU, STOCK = "o1", "A", 10
PRICE = Money(100, "EUR")
GATEWAY, CARRIER = "payments.gateway", "shipping.carrier"


class Even(Random):
    """No chance: nothing is delivered twice, fails or is slow by itself."""

    def random(self) -> float:
        return 0.5


class Sandbox(Outside):
    """Refuses what the sandboxes refuse, by payment method and postcode."""

    def _refuses(self, event: Any) -> bool:
        match event:
            case PaymentRequested():
                return event.method == "tok_declined"
            case ShipmentRequested():
                return event.address.postcode == "REFUSED"
        return False


class Stage(World):
    """One order in a world without chance."""

    def __init__(self, process: str) -> None:
        random = Even(0)
        super().__init__(
            PROCESSES[process] | {"orders.returning": RETURNING}, random, Sandbox(random)
        )
        self.dispatch(ListProduct(SKU, "Apple", PRICE))
        self.dispatch(ReceiveStock(SKU, STOCK))

    def place(self, *, quantity: int = 2, method: str = "tok_visa", postcode: str = "N1") -> None:
        """An order of two units and postage, 250 in total."""
        lines, charges = (
            (OrderLine(SKU, "Apple", quantity, 100),),
            (Charge("POST", "Postage", 1, 50),),
        )
        address = Address("Ada", postcode=postcode)
        self.dispatch(
            ImportOrder(
                ORDER, "c1", lines, charges, "EUR", 2, address, method, facts.TODAY, reference=""
            )
        )

    def settle(self) -> None:
        """Run until nothing but held subscriptions has work left; no deadline passes."""
        self.run_for(5 * MINUTE)

    def until(self, event: type) -> None:
        """Run until such an event is appended."""
        while not any(isinstance(entry.message, event) for entry in self.log):
            assert self._agenda, f"{event.__name__} does not come"
            self.run_for(max(0.0, self._agenda[0][0] - self.now))

    def say(self, fact: Callable[[World, str], str]) -> None:
        assert fact(self, ORDER) == ""
        self.settle()

    def row(self) -> dict[str, Any]:
        """The order's read model, folded from the log."""
        row: Any = {"order_id": ORDER} | {
            field.name: field.get_default()
            for field in ORDER_DETAILS.model._meta.fields
            if field.name != "order_id"
        }
        for entry in self.log:
            evolve = ORDER_DETAILS.evolve.get(type(entry.message))
            if entry.topic == EVENT and evolve and ORDER_DETAILS.key(entry.message) == ORDER:
                row = evolve(row, entry.message)
        return row


def _while(*held: str, **how: Any) -> Callable[[Stage], None]:
    def bring_about(stage: Stage) -> None:
        stage.hold(*held)
        stage.place(**how)
        stage.settle()

    return bring_about


def _then(
    before: Callable[[Stage], None], *facts_: Callable[[World, str], str], hold: Sequence[str] = ()
):
    """hold: the subscriptions to hold before the facts, and from then on."""

    def bring_about(stage: Stage) -> None:
        before(stage)
        stage.hold(*hold)
        for fact in facts_:
            stage.say(fact)

    return bring_about


def _released(before: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def bring_about(stage: Stage) -> None:
        before(stage)
        stage.release()
        stage.settle()

    return bring_about


def _after(event: type, hold: str, **how: Any) -> Callable[[Stage], None]:
    """Run until such an event, then hold a subscription."""

    def bring_about(stage: Stage) -> None:
        stage.place(**how)
        stage.until(event)
        stage.hold(hold)
        stage.settle()

    return bring_about


def _late(before: Callable[[Stage], None], seconds: float) -> Callable[[Stage], None]:
    def bring_about(stage: Stage) -> None:
        before(stage)
        stage.run_for(seconds)

    return bring_about


def _return(stage: World, order_id: str) -> str:
    return _returning(stage, order_id, 1)


def _return_all(stage: World, order_id: str) -> str:
    return _returning(stage, order_id, 2)


def _returning(stage: World, order_id: str, quantity: int) -> str:
    wanted = (Portion(1, quantity),)
    return stage.dispatch(
        facts.RequestReturn(f"{order_id}-r1", order_id, wanted, (), "too small", facts.TODAY)
    )


CONFIRMED = _while()
SHIPPED = _then(CONFIRMED, facts.ship)
DELIVERED = _then(SHIPPED, facts.deliver)
BOOKED = _while("orders")
DECLINED = _while(method="tok_declined")

STATES: Mapping[str, Callable[[Stage], None]] = {
    "payment asked for": _while(GATEWAY),
    "payment late": _late(_while(GATEWAY), 20 * MINUTE),
    "payment declined, to be cancelled": _while("orders", method="tok_declined"),
    "paid, stock asked for": _while("inventory"),
    "out of stock, money going back": _after(PaymentCompleted, GATEWAY, quantity=99),
    "reserved, parcel asked for": _while("shipping"),
    "parcel being booked": _while(CARRIER),
    "parcel booking late": _late(_while(CARRIER), 20 * MINUTE),
    "parcel refused, money going back": _after(ShipmentRequested, GATEWAY, postcode="REFUSED"),
    "parcel booked, to be confirmed": BOOKED,
    "confirmed": CONFIRMED,
    "shipped": SHIPPED,
    "delivered": DELIVERED,
    "cancelled while it is paid": _then(_while(GATEWAY), facts.cancel),
    "cancelled while stock is asked for": _then(_while("inventory"), facts.cancel),
    "cancelled while the parcel is booked": _then(_while(CARRIER), facts.cancel),
    "cancelled, parcel being called off": _then(BOOKED, facts.cancel, hold=[CARRIER]),
    "cancelled, goods going back": _then(BOOKED, facts.cancel, hold=["inventory"]),
    "cancelled, money going back": _then(BOOKED, facts.cancel, hold=[GATEWAY]),
    "cancelled, refund given up": _late(_then(BOOKED, facts.cancel, hold=[GATEWAY]), 3 * HOUR),
    "cancelled and undone": _released(_then(BOOKED, facts.cancel)),
    "cancelled, payment declined": DECLINED,
    "cancelled, paid after all": _then(DECLINED, facts.payment_succeeded),
    "cancelled, parcel has left": _then(_then(BOOKED, facts.ship), facts.cancel),
    "refund asked for, parcel being called off": _then(CONFIRMED, facts.refund, hold=[CARRIER]),
    "refund asked for, money going back": _then(CONFIRMED, facts.refund, hold=[GATEWAY]),
    "refunded": _then(CONFIRMED, facts.refund),
    "refunded, parcel had left": _then(SHIPPED, facts.refund),
    "return announced, parcel booked": _then(CONFIRMED, _return),
    "return announced, parcel shipped": _then(SHIPPED, _return),
    "return announced": _then(DELIVERED, _return),
    "return announced, parcel lost": _then(SHIPPED, _return, facts.parcel_lost),
    "return announced, parcel brought back": _then(SHIPPED, _return, facts.parcel_returned),
    "return announced, refund asked for, parcel being called off": _then(
        CONFIRMED, _return, facts.refund, hold=[CARRIER]
    ),
    "return announced, refunded, parcel called off": _then(CONFIRMED, _return, facts.refund),
    "return announced, refunded, parcel shipped": _then(SHIPPED, _return, facts.refund),
    "return announced, refunded": _then(DELIVERED, _return, facts.refund),
    "return received, parcel booked, goods going on the shelf": _then(
        CONFIRMED, _return, facts.receive_return, hold=["inventory"]
    ),
    "partly returned, parcel booked": _then(CONFIRMED, _return, facts.receive_return),
    "partly returned, parcel booked, refund asked for": _then(
        _then(CONFIRMED, _return, facts.receive_return), facts.refund, hold=[CARRIER]
    ),
    "partly returned, parcel booked, refunded": _then(
        CONFIRMED, _return, facts.receive_return, facts.refund
    ),
    "wholly returned, parcel booked": _then(CONFIRMED, _return_all, facts.receive_return),
    "partly returned, parcel shipped": _then(SHIPPED, _return, facts.receive_return),
    "return received, money going back": _then(
        DELIVERED, _return, facts.receive_return, hold=[GATEWAY]
    ),
    "partly returned": _then(DELIVERED, _return, facts.receive_return),
    "wholly returned": _then(DELIVERED, _return_all, facts.receive_return),
    "parcel lost": _then(SHIPPED, facts.parcel_lost),
    "parcel brought back": _then(SHIPPED, facts.parcel_returned),
    "disputed": _then(DELIVERED, facts.disputed),
    "refunded at the provider": _then(CONFIRMED, facts.refunded_outside),
}
