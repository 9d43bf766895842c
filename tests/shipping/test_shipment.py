import pytest

from eventstore.testing import given
from shipping.commands import (
    Address,
    BookShipment,
    CancelShipment,
    CompleteCancellation,
    CreateShipment,
    DeliverShipment,
    RecordDelivered,
    RecordLost,
    RecordReturned,
    RecordShipped,
    RefuseShipment,
    ShipShipment,
)
from shipping.events import (
    ShipmentCancellationRequested,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDisowned,
    ShipmentLost,
    ShipmentRefused,
    ShipmentRequested,
    ShipmentReturned,
    ShipmentShipped,
)
from shipping.shipment import (
    SHIPMENT,
    ShipmentAlreadyShipped,
    ShipmentIsAnother,
    ShipmentNotCreated,
    ShipmentNotShipped,
)

ADDRESS = Address("Ada", postcode="1")
REQUESTED, CREATED = ShipmentRequested("o1", ADDRESS), ShipmentCreated("o1", "SB1")
REFUSED = ShipmentRefused("o1", "not served")
CANCELLING, CANCELLED = ShipmentCancellationRequested("o1", "changed"), ShipmentCancelled("o1")
SHIPPED, DELIVERED = ShipmentShipped("o1"), ShipmentDelivered("o1")
CREATE, CANCEL = CreateShipment("o1", ADDRESS), CancelShipment("o1", "changed")

EVERY_STATE = {
    "requested": [REQUESTED],
    "cancelling before it was booked": [REQUESTED, CANCELLING],
    "created": [REQUESTED, CREATED],
    "refused": [REQUESTED, REFUSED],
    "cancelling": [REQUESTED, CREATED, CANCELLING],
    "cancelled": [REQUESTED, CREATED, CANCELLING, CANCELLED],
    "never created": [CANCELLED],
    "shipped": [REQUESTED, CREATED, SHIPPED],
    "delivered": [REQUESTED, CREATED, SHIPPED, DELIVERED],
}


def test_a_parcel_is_requested_of_the_carrier():
    given(SHIPMENT).when(CREATE).then(REQUESTED)


@pytest.mark.parametrize("state", EVERY_STATE)
def test_it_is_requested_at_most_once(state):
    given(SHIPMENT, *EVERY_STATE[state]).when(CREATE).then()


def test_the_carriers_answer_creates_or_refuses_it():
    given(SHIPMENT, REQUESTED).when(BookShipment("o1", "SB1")).then(CREATED)
    given(SHIPMENT, REQUESTED).when(RefuseShipment("o1", "not served")).then(REFUSED)


@pytest.mark.parametrize(
    "state", ["created", "refused", "cancelling", "cancelled", "never created", "shipped"]
)
def test_an_answer_that_comes_twice_or_late_changes_nothing(state):
    given(SHIPMENT, *EVERY_STATE[state]).when(BookShipment("o1", "SB2")).then()
    given(SHIPMENT, *EVERY_STATE[state]).when(RefuseShipment("o1", "late")).then()


def test_an_answer_that_nobody_asked_for_changes_nothing():
    for answer in (
        BookShipment("o1", "SB2"),
        RefuseShipment("o1", "late"),
        CompleteCancellation("o1"),
    ):
        given(SHIPMENT).when(answer).then()


def test_a_created_parcel_is_called_off_at_the_carrier():
    given(SHIPMENT, REQUESTED, CREATED).when(CANCEL).then(CANCELLING)
    given(SHIPMENT, *EVERY_STATE["cancelling"]).when(CompleteCancellation("o1")).then(CANCELLED)


def test_it_may_be_called_off_while_the_booking_is_under_way():
    given(SHIPMENT, REQUESTED).when(CANCEL).then(CANCELLING)
    given(SHIPMENT, REQUESTED, CANCELLING).when(BookShipment("o1", "SB1")).then(CREATED)
    given(SHIPMENT, REQUESTED, CANCELLING, CREATED).when(CompleteCancellation("o1")).then(CANCELLED)


def test_if_that_booking_is_refused_there_is_nothing_to_call_off():
    given(SHIPMENT, REQUESTED, CANCELLING).when(RefuseShipment("o1", "not served")).then(REFUSED)
    given(SHIPMENT, REQUESTED, CANCELLING, REFUSED).when(CompleteCancellation("o1")).then()


@pytest.mark.parametrize(
    "state",
    ["cancelling before it was booked", "cancelling", "cancelled", "refused", "never created"],
)
def test_it_is_called_off_once_and_only_if_there_is_something(state):
    given(SHIPMENT, *EVERY_STATE[state]).when(CANCEL).then()


def test_a_cancellation_before_the_request_is_a_tombstone_and_no_request_follows():
    given(SHIPMENT).when(CANCEL).then(CANCELLED)
    given(SHIPMENT, CANCELLED).when(CREATE).then()


@pytest.mark.parametrize("state", ["shipped", "delivered"])
def test_what_has_left_cannot_be_called_off(state):
    given(SHIPMENT, *EVERY_STATE[state]).when(CANCEL).refused(ShipmentAlreadyShipped)


@pytest.mark.parametrize("state", ["created", "cancelled", "shipped"])
def test_a_cancellation_that_nobody_asked_for_or_that_is_answered_twice_changes_nothing(state):
    given(SHIPMENT, *EVERY_STATE[state]).when(CompleteCancellation("o1")).then()


def test_a_created_parcel_is_shipped_and_delivered_once():
    given(SHIPMENT, *EVERY_STATE["created"]).when(ShipShipment("o1")).then(SHIPPED)
    given(SHIPMENT, *EVERY_STATE["shipped"]).when(ShipShipment("o1")).then()
    given(SHIPMENT, *EVERY_STATE["shipped"]).when(DeliverShipment("o1")).then(DELIVERED)
    given(SHIPMENT, *EVERY_STATE["delivered"]).when(DeliverShipment("o1")).then()
    given(SHIPMENT, *EVERY_STATE["delivered"]).when(ShipShipment("o1")).then()


@pytest.mark.parametrize(
    "state", ["requested", "refused", "cancelling", "cancelled", "never created"]
)
def test_what_is_not_created_or_is_being_called_off_does_not_leave(state):
    given(SHIPMENT, *EVERY_STATE[state]).when(ShipShipment("o1")).refused(ShipmentNotCreated)


@pytest.mark.parametrize("state", ["requested", "created", "cancelled"])
def test_what_has_not_left_does_not_arrive(state):
    given(SHIPMENT, *EVERY_STATE[state]).when(DeliverShipment("o1")).refused(ShipmentNotShipped)


@pytest.mark.parametrize("state", ["requested", "created", "shipped", "delivered"])
def test_a_parcel_to_another_place_is_no_repeat(state):
    given(SHIPMENT, *EVERY_STATE[state]).when(CreateShipment("o1", Address("Grace"))).refused(
        ShipmentIsAnother
    )


class TestWhatTheCarrierTells:
    """A report of the carrier is recorded in any status of the parcel."""

    LOST, RETURNED = ShipmentLost("o1"), ShipmentReturned("o1")

    @pytest.mark.parametrize("state", [None, *sorted(set(EVERY_STATE) - {"shipped", "delivered"})])
    def test_of_a_parcel_that_is_not_known_to_have_left(self, state):
        history = EVERY_STATE[state] if state else []
        given(SHIPMENT, *history).when(RecordShipped("o1")).then(SHIPPED)
        given(SHIPMENT, *history).when(RecordDelivered("o1")).then(SHIPPED, DELIVERED)
        given(SHIPMENT, *history).when(RecordLost("o1")).then(SHIPPED, self.LOST)
        given(SHIPMENT, *history).when(RecordReturned("o1")).then(SHIPPED, self.RETURNED)

    def test_once(self):
        for command in (RecordShipped("o1"), RecordDelivered("o1")):
            given(SHIPMENT, *EVERY_STATE["delivered"]).when(command).then()
        given(SHIPMENT, SHIPPED, self.LOST).when(RecordLost("o1")).then()
        for command in (RecordShipped, RecordDelivered, RecordLost, RecordReturned):
            given(SHIPMENT, SHIPPED, self.RETURNED).when(command("o1")).then()

    def test_that_a_lost_one_is_found_and_a_delivered_one_refused_at_the_door(self):
        given(SHIPMENT, SHIPPED, self.LOST).when(RecordDelivered("o1")).then(DELIVERED)
        given(SHIPMENT, *EVERY_STATE["delivered"]).when(RecordReturned("o1")).then(self.RETURNED)

    def test_before_its_answer_to_the_booking_is_recorded_which_names_the_parcel_all_the_same(self):
        given(SHIPMENT, REQUESTED, SHIPPED).when(BookShipment("o1", "SB1")).then(CREATED)
        left = (REQUESTED, SHIPPED, CREATED)
        given(SHIPMENT, *left).when(BookShipment("o1", "SB1")).then()
        given(SHIPMENT, *left).when(CANCEL).refused(ShipmentAlreadyShipped)
        given(SHIPMENT, *left).when(DeliverShipment("o1")).then(DELIVERED)

    def test_of_a_parcel_whose_booking_it_then_refuses(self):
        refuse = RefuseShipment("o1", "not served")
        disowned = ShipmentDisowned("o1", "not served")
        given(SHIPMENT, REQUESTED, SHIPPED).when(refuse).then(disowned)
        given(SHIPMENT, REQUESTED, SHIPPED, disowned).when(refuse).then()

    def test_of_a_parcel_that_was_never_asked_for_and_none_is_then(self):
        given(SHIPMENT, SHIPPED).when(CREATE).refused(ShipmentAlreadyShipped)
        given(SHIPMENT, REQUESTED, SHIPPED).when(CREATE).then()

    def test_while_it_is_called_off_and_then_it_is_not_cancelled(self):
        left = (*EVERY_STATE["cancelling"], SHIPPED)
        given(SHIPMENT, *left).when(CompleteCancellation("o1")).then()
