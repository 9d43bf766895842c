"""Commands and facts while a slow provider has not answered: in either form of the process, on a
real database.

test_matrix.py runs the whole table in memory; these are the inputs that found faults.
"""

import pytest

from eventstore.models import Event, SagaState
from eventstore.testing import drain
from inventory.models import StockLevel
from payments.models import PaymentView, SandboxEntry
from shipping.models import SandboxParcel, ShipmentView

from .conftest import STOCK, paused


def states(order):
    return order.status, order.payment_status, order.reservation_status, order.shipment_status


def types_of(stream):
    return list(
        Event.objects.filter(stream=stream).order_by("version").values_list("type", flat=True)
    )


def waits_for_a_person(order_id):
    return SagaState.objects.filter(key=order_id, status="NEEDS_ATTENTION").exists()


def kept(order_id):
    entries = SandboxEntry.objects.filter(order_id=order_id)
    return sum(entry.amount if entry.kind == "charge" else -entry.amount for entry in entries)


def parcels(order_id):
    booked = SandboxParcel.objects.filter(order_id=order_id, done=True)
    return booked.filter(kind="booking").count() - booked.filter(kind="cancellation").count()


class TestARefundByStaff:
    def test_while_the_payment_is_under_way_undoes_the_order(self, shop):
        with paused("payments.gateway"):
            order_id = shop.place()
            assert shop.order(order_id).payment_status == "REQUESTED"
            assert shop.refund(order_id).status_code == 202
            drain()
        assert states(shop.order(order_id)) == ("CANCELLED", "REFUNDED", "NONE", "NONE")
        assert (kept(order_id), parcels(order_id)) == (0, 0)
        assert StockLevel.objects.get().available == STOCK

    @pytest.mark.parametrize("slow", ["inventory", "shipping.carrier", "shipping", "orders"])
    def test_at_any_later_step_undoes_it_too(self, shop, slow):
        with paused(slow):
            order_id = shop.place(quantity=2)
            assert shop.refund(order_id).status_code == 202
        order = shop.order(order_id)
        assert (order.status, order.payment_status) == ("CANCELLED", "REFUNDED")
        assert (kept(order_id), parcels(order_id)) == (0, 0)
        assert StockLevel.objects.get().available == STOCK

    def test_of_a_confirmed_order_shows_on_it_and_its_parcel_stays(self, shop):
        order_id = shop.place(quantity=2)
        assert shop.refund(order_id).status_code == 202
        drain()
        assert states(shop.order(order_id)) == ("REFUNDED", "REFUNDED", "RELEASED", "CANCELLED")
        answer = shop.ship(order_id)
        assert (answer.status_code, answer.json()["code"]) == (409, "ShipmentCalledOff")
        assert (kept(order_id), parcels(order_id)) == (0, 0)
        assert StockLevel.objects.get().available == STOCK

    def test_of_a_confirmed_order_keeps_its_parcel_from_the_first_moment(self, shop):
        order_id = shop.place()
        with paused("shipping", "shipping.carrier"):
            shop.refund(order_id)
            drain()
            assert states(shop.order(order_id)) == ("REFUNDING", "COMPLETED", "RESERVED", "CREATED")
            assert shop.ship(order_id).status_code == 409
        assert states(shop.order(order_id)) == ("REFUNDED", "REFUNDED", "RELEASED", "CANCELLED")

    def test_of_a_parcel_that_has_left_gives_the_money_back_and_leaves_the_goods_with_the_customer(
        self, shop
    ):
        order_id = shop.place()
        assert shop.ship(order_id).status_code == 202
        drain()
        shop.refund(order_id)
        drain()
        assert states(shop.order(order_id)) == ("REFUNDED", "REFUNDED", "RESERVED", "SHIPPED")
        assert not waits_for_a_person(order_id)
        assert kept(order_id) == 0


class TestTheCarrierTells:
    def test_of_a_parcel_that_left_while_it_was_being_called_off(self, shop):
        with paused("shipping.carrier"):
            order_id = shop.place()
            assert shop.order(order_id).shipment_status == "REQUESTED"
            shop.cancel(order_id)
            drain()
            assert shop.carrier_says("parcel.shipped", order_id).status_code == 200
            drain()
        assert waits_for_a_person(order_id)
        assert states(shop.order(order_id)) == ("CANCELLED", "COMPLETED", "RESERVED", "SHIPPED")
        assert StockLevel.objects.get().available == STOCK - 1

    def test_that_it_left_before_the_booking_is_answered(self, shop):
        with paused("shipping.carrier"):
            order_id = shop.place()
            assert shop.carrier_says("parcel.shipped", order_id).status_code == 200
            drain()
            assert shop.order(order_id).shipment_status == "SHIPPED"
        order = shop.order(order_id)
        assert states(order) == ("CONFIRMED", "COMPLETED", "RESERVED", "SHIPPED")
        assert order.tracking == ShipmentView.objects.get(pk=order_id).tracking != ""
        assert not waits_for_a_person(order_id)

    @pytest.mark.parametrize("fact", ["parcel.shipped", "parcel.delivered"])
    def test_of_a_parcel_of_an_order_that_is_undone(self, shop, fact):
        with paused("orders"):
            order_id = shop.place()
            shop.cancel(order_id)
        assert states(shop.order(order_id)) == ("CANCELLED", "REFUNDED", "RELEASED", "CANCELLED")
        assert shop.carrier_says(fact, order_id).status_code == 200
        drain()
        assert (
            types_of(f"shipment-{order_id}")[-1]
            == f"shipping.shipment_{fact.removeprefix('parcel.')}"
        )
        assert waits_for_a_person(order_id)

    def test_of_a_parcel_that_is_lost(self, shop):
        order_id = shop.place()
        shop.carrier_says("parcel.lost", order_id)
        drain()
        assert waits_for_a_person(order_id)
        assert shop.order(order_id).shipment_status == "LOST"

    def test_that_a_parcel_comes_back_which_left_while_the_order_was_cancelled(self, shop):
        with paused("orders"):
            order_id = shop.place()
            shop.ship(order_id)
            shop.cancel(order_id)
        assert waits_for_a_person(order_id)
        shop.carrier_says("parcel.returned", order_id)
        drain()
        assert states(shop.order(order_id)) == ("CANCELLED", "REFUNDED", "RELEASED", "RETURNED")
        assert StockLevel.objects.get().available == STOCK


class TestAStatusFollowsWhatIsOwed:
    def test_money_that_is_owed_back_is_said_to_be_on_its_way(self, shop):
        with paused("payments.gateway"):
            order_id = shop.place()
            shop.cancel(order_id)
            drain()
            charge = Event.objects.get(
                stream=f"payment-{order_id}", type="payments.payment_requested"
            )
            assert shop.order(order_id).payment_status == "REFUNDING"
            _answered(order_id, charge)
            assert types_of(f"payment-{order_id}")[-1] == "payments.payment_completed"
            assert shop.order(order_id).payment_status == "REFUNDING"
            assert PaymentView.objects.get(pk=order_id).status == "REFUNDING"
        assert shop.order(order_id).payment_status == "REFUNDED"
        assert kept(order_id) == 0

    def test_a_parcel_that_is_being_called_off_is_not_said_to_be_created(self, shop):
        with paused("shipping.carrier"):
            order_id = shop.place()
            shop.cancel(order_id)
            drain()
            from eventstore.commands import bus
            from shipping.commands import BookShipment

            bus.dispatch(BookShipment(order_id, "SB1"))
            drain()
            assert ShipmentView.objects.get(pk=order_id).status == "CANCELLING"
            assert shop.order(order_id).shipment_status == "CANCELLING"


def _answered(order_id, charge):
    """The provider's answer to the charge alone; the refund after it is still to be made."""
    from eventstore.commands import bus
    from payments.commands import CompletePayment

    bus.dispatch(CompletePayment(order_id, f"ch_{charge.id}"))
    drain()
