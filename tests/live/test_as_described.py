"""Messages over a socket match the AsyncAPI document: every type of event, and an order's whole
life."""

import msgspec
import pytest
from jsonschema import Draft7Validator

from access.accounts import customer_id_of
from config.api import asyncapi
from eventstore import log, registry
from eventstore.aggregate import stream_name
from eventstore.commands import bus
from eventstore.money import Money
from eventstore.schemas import generation
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.api import public_events as timeline
from orders.commands import Item, ListProduct, PlaceOrder
from orders.events import OrderPlaced
from shipping.commands import Address

from .conftest import placed, received


def test_every_event_that_there_is_comes_as_described(ada):
    order_id = placed(ada)
    for event in timeline.PUBLIC_FIELDS:
        if event is not OrderPlaced:
            log.append(stream_of(event, order_id), [made(event, order_id)], expected=log.ANY)
    with ada.open(f"/ws/orders/{order_id}/") as socket:
        sent = received(socket, len(timeline.PUBLIC_FIELDS) + 1, caught_up=True)
    assert {each.get("type", "caught_up") for each in sent} == {*timeline.types(), "caught_up"}
    assert [fault for each in sent for fault in faults(each)] == []


def test_a_life_as_it_is_lived_comes_as_described(ada):
    bus.dispatch(ListProduct("CUP", "A cup", Money(1999, "EUR")))
    bus.dispatch(ReceiveStock("CUP", 10))
    home = Address("Ada", "Square 1", "London", "SW1Y", "GB")
    bus.dispatch(
        PlaceOrder(
            "o-1",
            customer_id_of(ada.user),
            (Item("CUP", 2),),
            home,
            "tok_visa",
            ada.user.date_joined,
        )
    )
    drain()
    with ada.open("/ws/orders/o-1/") as socket:
        sent = received(socket, 7)
    assert [fault for each in sent for fault in faults(each)] == []


@pytest.mark.parametrize(
    "changed",
    [{"category": "order"}, {"data": {}}, {"position": "7"}, {"recorded_at": 5}, {"secret": 1}],
)
def test_what_comes_otherwise_is_found(changed):
    sent = asyncapi.document()["components"]["messages"]["payments.payment_failed"]["examples"][0][
        "payload"
    ]
    assert faults(sent) == []
    assert faults(sent | changed)


def stream_of(event, order_id):
    category = next(
        each.category for each in registry.aggregates().values() if event in each.evolve
    )
    return stream_name(category, "r-1" if category == "return" else order_id)


def made(event, order_id):
    """With every field filled, about that order and its return."""
    known = {"order_id": order_id, "return_id": "r-1"}
    fields = {name: value for name, value in known.items() if name in event.__struct_fields__}
    return msgspec.convert(generation.example(event) | fields, event)


def faults(sent):
    described = asyncapi.document()
    message = described["components"]["messages"][sent.get("type", "caught_up")]
    schema = message["payload"] | {"components": described["components"]}
    found = Draft7Validator(schema).iter_errors(sent)
    return [f"{message['name']}: {fault.message}" for fault in found] + undocumented(
        sent, message["examples"][0]["payload"]
    )


def undocumented(sent, example):
    """The schema allows unknown members, as new ones may come later; today there are none."""
    members = {*sent, *sent.get("data", ())} - {*example, *example.get("data", ())}
    return [f"{member} is not described" for member in members]
