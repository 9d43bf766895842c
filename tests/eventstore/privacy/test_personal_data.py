"""What is personal is hidden wherever its class is found, and whatever no class of today explains
is hidden whole."""

from datetime import UTC, datetime

import pytest

from eventstore.messages import Event, State, Value
from eventstore.privacy import personal_data
from eventstore.privacy.personal_data import HIDDEN


class Home(Value, frozen=True):
    street: str
    country: str = ""


class Moved(Event, frozen=True):
    person_id: str
    home: Home
    at: datetime
    earlier: tuple[Home, ...] = ()
    by_name: dict[str, Home] = {}
    nick: str | None = None
    other: Home | str | None = None
    rooms: int = 0


class Living(State, frozen=True):
    homes: dict[int, Home] = {}
    anything: object = None


MOVED = Moved("p1", Home("Elm 7", "AT"), datetime(2026, 1, 2, tzinfo=UTC), nick="Ada", rooms=3)


@pytest.fixture(autouse=True)
def wired(wire):
    wire(EVENTS=[{"toy.moved": Moved}], PERSONAL=[{Home: ("street",), Moved: ("nick",)}])


def test_a_declared_class_is_hidden_wherever_it_stands():
    moved = MOVED.__class__(
        "p1",
        MOVED.home,
        MOVED.at,
        earlier=(Home("Oak 1"),),
        by_name={"first": Home("Ash 2")},
        other=Home("Fir 3"),
    )
    assert personal_data.of_struct(moved) == {
        "person_id": "p1",
        "home": {"street": HIDDEN, "country": "AT"},
        "at": "2026-01-02T00:00:00Z",
        "earlier": [{"street": HIDDEN, "country": ""}],
        "by_name": {"first": {"street": HIDDEN, "country": ""}},
        "nick": None,
        "other": {"street": HIDDEN, "country": ""},
        "rooms": 0,
    }


def test_what_is_hidden_is_a_message_still():
    masked = personal_data.without(MOVED)
    assert masked == Moved("p1", Home(HIDDEN, "AT"), MOVED.at, nick=HIDDEN, rooms=3)


@pytest.mark.parametrize(
    ("stored", "masked"),
    [
        ({"person_id": "p1", "phone": "0123"}, {"person_id": "p1", "phone": HIDDEN}),
        ({"home": "Elm 7"}, {"home": HIDDEN}),
        ({"home": {"street": "Elm 7", "door": "9"}}, {"home": {"street": HIDDEN, "door": HIDDEN}}),
        ({"earlier": {"street": "Elm 7"}}, {"earlier": HIDDEN}),
        ({"rooms": {"kitchen": "of Ada"}}, {"rooms": HIDDEN}),
        ({"other": ["Elm 7"]}, {"other": HIDDEN}),
        (["Elm 7"], HIDDEN),
        ("Elm 7", HIDDEN),
        ({"nick": "", "phone": None}, {"nick": "", "phone": None}),
    ],
    ids=[
        "a field of the past",
        "a text that became a class",
        "a field of the past inside",
        "one that became many",
        "a number that was a table",
        "neither of two kinds",
        "no table at all",
        "a bare text",
        "what is empty tells nothing",
    ],
)
def test_what_was_stored_by_other_code_fails_closed(stored, masked):
    assert personal_data.of_message("toy.moved", stored) == masked


def test_what_has_no_class_is_hidden_whole():
    assert personal_data.of_message("toy.gone", {"person_id": "p1"}) == HIDDEN
    assert personal_data.of_saga("toy.gone", {"status": "DONE"}) == HIDDEN
    assert personal_data.of_metadata({"actor": "ada", "address": "Elm 7"}) == {
        "actor": "ada",
        "address": HIDDEN,
    }


def test_what_may_be_anything_is_hidden():
    masked = personal_data.of_struct(Living(homes={1: Home("Elm 7")}, anything={"street": "Elm 7"}))
    assert masked == {"homes": {1: {"street": HIDDEN, "country": ""}}, "anything": HIDDEN}
