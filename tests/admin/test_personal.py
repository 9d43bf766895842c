"""Personal data is masked on every page, and revealed on one page with permission and a reason."""

import html
import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from msgspec import inspect

from eventstore import registry
from eventstore.console import links
from eventstore.delivery import step
from eventstore.models import Event, OperatorAction, OutboxMessage, Parked, SagaState
from eventstore.privacy import personal_data
from eventstore.subscriptions import Projection, Saga
from eventstore.testing import drain
from orders.models import OrderDetails

from .conftest import busy, member, place
from .everything import everything_there_is, lists

# With characters that HTML, JSON and Python escape.
PERSON = {
    "name": "Zoë O'Canary",
    "street": 'Canary "Row" 7',
    "city": "Canarytown",
    "postcode": "CAN 4RY",
}
METHOD = "tok_canary_4711"
SECRETS = (*PERSON.values(), METHOD)


@pytest.fixture
def canary(shop):
    """Orders of one person: one completed, one in progress, and one with a failed payment."""
    done = place(METHOD, **PERSON)
    drain()
    under_way = place(METHOD, **PERSON)
    with busy("payments"):
        step.step("orders.fulfilment")
    step.step("orders.details")
    _park(f"ValueError: no such place: {PERSON['name']!r}, {PERSON['street']}", under_way)
    return done


@pytest.fixture
def groups(db):
    call_command(
        "console_roles", "--view", "onlookers", "--operate", "operations", "--reveal", "privacy"
    )


@pytest.mark.usefixtures("canary")
def test_no_page_of_anything_says_anything_personal(staff):
    there = everything_there_is()
    assert len(there) > 60
    for address in [*lists(), *there]:
        _holds_nothing_personal(staff.get(address), address)
    for address in _acts():
        _holds_nothing_personal(staff.get(address), address)


def test_one_page_is_revealed_to_whom_says_why_and_that_is_written_down(groups, canary):
    privacy = member("ada", "privacy")
    address = links.of(OrderDetails, canary)
    (reveal,) = re.findall(r'href="([^"]+/reveal/)"', privacy.get(address).content.decode())
    assert privacy.get(reveal).status_code == 200
    shown = privacy.post(reveal, {"reason": "she asked where it goes"})
    assert PERSON["street"] in html.unescape(shown.content.decode())
    assert "no-store" in shown["Cache-Control"]
    (written,) = OperatorAction.objects.all()
    assert (written.who, written.action, written.subject) == ("ada", "reveal", f"order {canary}")
    assert (written.reason, written.details) == ("she asked where it goes", {"page": reveal})
    _holds_nothing_personal(privacy.get(address), "the next time it is hidden again")


@pytest.mark.parametrize(
    ("model", "secret"),
    [
        ("event", PERSON["city"]),
        ("stream", PERSON["city"]),
        ("sagastate", METHOD),
        ("outboxmessage", METHOD),
        ("parked", PERSON["street"]),
        ("payment", METHOD),
        ("shipment", PERSON["postcode"]),
    ],
)
def test_each_kind_of_page_can_be_revealed(staff, canary, model, secret):
    reveal = _page(model, canary).replace("/change/", "/reveal/")
    assert secret not in html.unescape(staff.get(reveal).content.decode())
    assert secret in html.unescape(staff.post(reveal, {"reason": "to see"}).content.decode()), (
        reveal
    )


def test_a_revealed_stream_is_that_of_the_version_asked_for(staff, canary):
    page = staff.get(f"/admin/eventstore/stream/order-{canary}/change/?version=1").context
    assert page["reveal_address"].endswith("/reveal/?version=1")
    assert staff.post(page["reveal_address"], {"reason": "x"}).context["version"] == 1


def test_nothing_is_revealed_without_a_reason_or_the_right(groups, canary):
    reveal = links.of(OrderDetails, canary).replace("/change/", "/reveal/")
    answer = member("ada", "privacy").post(reveal, {"reason": "  "})
    assert answer.status_code == 409
    _holds_nothing_personal(answer, reveal)
    for group in ("onlookers", "operations"):
        client = member(group, group)
        assert "reveal" not in client.get(links.of(OrderDetails, canary)).content.decode()
        assert client.get(reveal).status_code == 403
        assert client.post(reveal, {"reason": "I want to"}).status_code == 403
    csrf = Client(enforce_csrf_checks=True)
    csrf.force_login(User.objects.get(username="ada"))
    assert csrf.post(reveal, {"reason": "another site's"}).status_code == 403
    assert not OperatorAction.objects.exists()


def test_an_error_is_told_without_the_person_it_quotes(canary):
    (parked,) = Parked.objects.all()
    found = personal_data.Trouble(parked.position, parked.error, parked.traceback)
    (masked,) = personal_data.of_troubles([found])
    assert (
        masked.error
        == f"ValueError: no such place: {personal_data.HIDDEN!r}, {personal_data.HIDDEN}".replace(
            "'•••'", '"•••"'
        )
    )
    assert "raise ValueError" in masked.traceback
    (gone,) = personal_data.of_troubles([found._replace(position=10**9)])
    assert gone.error == f"ValueError: {personal_data.HIDDEN}", "nobody knows what it quotes"


def test_what_postgresql_quotes_of_a_row_is_not_told(canary):
    (parked,) = Parked.objects.all()
    error = (
        "IntegrityError: null value in column\nDETAIL:  Failing row contains (1, Somebody Else, Elm"
        " 7).\nHINT: none"
    )
    (masked,) = personal_data.of_troubles([personal_data.Trouble(parked.position, error)])
    assert (
        masked.error
        == f"IntegrityError: null value in column\nDETAIL: {personal_data.HIDDEN}\nHINT: none"
    )


def test_the_error_of_a_rebuild_is_told_without_the_person(canary):
    at = Event.objects.get(stream=f"order-{canary}", version=1).position
    text = personal_data.of_rebuild(
        f"orders.order_placed at position {at}: KeyError({PERSON['city']!r})"
    )
    assert text == f"orders.order_placed at position {at}: KeyError('{personal_data.HIDDEN}')"
    gone = personal_data.of_rebuild(
        "orders.order_placed at position 999999: KeyError('Canarytown')"
    )
    assert gone == f"orders.order_placed at position 999999: KeyError: {personal_data.HIDDEN}"
    assert (
        personal_data.of_rebuild("column is missing\nDETAIL:  (Ada)")
        == f"column is missing\nDETAIL: {personal_data.HIDDEN}"
    )


def _park(error, order_id):
    message = OutboxMessage.objects.get(topic="event", key=f"order-{order_id}")
    kind, _, words = error.partition(": ")
    Parked.objects.create(
        subscription="shipping.shipments",
        position=message.position,
        key=message.key,
        status="dead",
        error=error,
        traceback=(
            f'Traceback (most recent call last):\n  raise ValueError("no such place")\n{error}\n'
        ),
    )


def _page(model, order_id):
    """The page of the row with the personal data."""
    match model:
        case "event":
            return links.page(
                "event", Event.objects.get(stream=f"order-{order_id}", version=1).position
            )
        case "stream":
            return links.page("stream", f"order-{order_id}", version=1)
        case "sagastate":
            return links.page("sagastate", SagaState.objects.get(key=order_id).pk)
        case "outboxmessage":
            return links.page(
                "outboxmessage", OutboxMessage.objects.filter(type="payments.process_payment")[0].pk
            )
        case "parked":
            return links.page("parked", Parked.objects.get().pk)
    (found,) = [each for each in admin.site._registry if each._meta.verbose_name == model]
    return links.of(found, order_id)


def _acts():
    parked, saga = Parked.objects.get(), SagaState.objects.order_by("-id")[0]
    yield f"/admin/eventstore/parked/act/retry/?id={parked.pk}"
    yield "/admin/eventstore/parked/act/discard/"
    yield f"/admin/eventstore/sagastate/act/compensate/?id={saga.pk}"
    yield f"/admin/orders/orderdetails/act/cancel/?id={saga.key}"
    yield "/admin/eventstore/subscription/act/skip/?name=shipping.shipments"
    yield "/admin/eventstore/subscription/doctor/"
    yield "/admin/eventstore/subscription/overview/"


def _holds_nothing_personal(answer, where):
    text = html.unescape(answer.content.decode())
    for secret in SECRETS:
        assert secret not in text, (where, secret)


# Names of personal fields; and fields with such names that are about goods.
SOUNDS_PERSONAL = re.compile(
    r"name|street|city|postcode|zip|country|mail|phone|address|method|card|iban|birth|recipient"
)
OF_GOODS = {
    *(
        (cls, "name")
        for cls in (
            "OrderLine",
            "Charge",
            "ProductListed",
            "ListProduct",
            "ImportProduct",
            "Product",
            "ProductView",
        )
    ),
    *(
        (cls, "address")
        for cls in (
            "PlaceOrder",
            "ImportOrder",
            "OrderPlaced",
            "CreateShipment",
            "ShipmentRequested",
        )
    ),
    *(
        (cls, "address") for cls in ("Fulfilment", "Shipment", "Shipping")
    ),  # of a class that is declared itself
}


def test_no_field_that_sounds_personal_is_forgotten():
    wiring = registry.wiring()
    kept = [*registry.types().values(), *(each.initial.__class__ for each in wiring.AGGREGATES)]
    fields = {}
    for subscription in [
        *wiring.SUBSCRIPTIONS.values(),
        *(subscription for each in wiring.PROCESSES.values() for subscription in each.values()),
    ]:
        if isinstance(subscription, Saga):
            kept += [type(subscription.initial), *subscription.contract.values()]
        if isinstance(subscription, Projection):
            fields[subscription.model] = [
                field.name for field in subscription.model._meta.get_fields()
            ]
    for kind in inspect.multi_type_info(kept):
        _gather(kind, fields)
    forgotten = {
        (cls.__name__, name)
        for cls, names in fields.items()
        for name in names
        if SOUNDS_PERSONAL.search(name) and name not in registry.personal().get(cls, ())
    }
    assert forgotten - OF_GOODS == set(), (
        "Name them in the context's personal.py, or here if they are about goods."
    )
    assert OF_GOODS - forgotten == set(), "These need no exception any more."


def _gather(kind, fields):
    """The field names of every class within this type."""
    if isinstance(kind, inspect.StructType) and kind.cls not in fields:
        fields[kind.cls] = [field.name for field in kind.fields]
        for field in kind.fields:
            _gather(field.type, fields)
    for inner in (
        getattr(kind, "item_type", None),
        getattr(kind, "value_type", None),
        *getattr(kind, "types", ()),
    ):
        if inner is not None:
            _gather(inner, fields)
