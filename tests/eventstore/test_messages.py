"""What a message may hold is known when it is made: what could not be read again is refused."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from eventstore.messages import Event, InvalidMessage, State, Value


@dataclass(frozen=True)
class Where:
    shelf: int


class Spot(msgspec.Struct, frozen=True):
    shelf: int


class Pair(NamedTuple):
    first: int
    second: int


class Kept(State, frozen=True):
    shelf: int = 0


class Custom:
    pass


class Right(Value, frozen=True):
    shelf: int


class Form(TypedDict):
    shelf: int


class Timed(Event, frozen=True):
    at: datetime
    others: tuple[datetime, ...] = ()
    maybe: datetime | None = None
    by_name: dict[str, datetime] = {}


NOW, NAIVE = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2)


def message(type_):
    class Moved(Event, frozen=True):
        to: type_

    return Moved


@pytest.mark.parametrize("cls", [Where, Spot, Pair, Kept, Custom])
@pytest.mark.parametrize("form", ["{}", "tuple[{}, ...]", "dict[str, {}]", "{} | None", "list[{}]"])
def test_values_of_a_foreign_class_are_refused(cls, form):
    moved = message(eval(form.format("cls"), {"cls": cls}))
    with pytest.raises(
        InvalidMessage, match=rf"Moved.to .*{cls.__name__}.*eventstore.messages.Value"
    ):
        moved(None)


@pytest.mark.parametrize(
    ("type_", "value"),
    [(Right, Right(2)), (tuple[Right, ...], (Right(2),)), (Form, {"shelf": 2}), (Any, 2)],
)
def test_values_of_our_own_classes_are_taken(type_, value):
    assert message(type_)(value).to == value


@pytest.mark.parametrize("value", [{"shelf": "second"}, {"shelf": None}, [2]])
def test_a_dict_with_types_is_checked(value):
    with pytest.raises(InvalidMessage):
        message(Form)(value)


def test_a_value_with_a_wrong_field_is_refused_when_it_is_made():
    with pytest.raises(InvalidMessage):
        Right("second")


@pytest.mark.parametrize(
    "fields",
    [
        {"at": NAIVE},
        {"at": NOW, "others": (NOW, NAIVE)},
        {"at": NOW, "maybe": NAIVE},
        {"at": NOW, "by_name": {"a": NAIVE}},
    ],
)
def test_a_time_without_a_zone_is_refused(fields):
    with pytest.raises(InvalidMessage, match="without a time zone"):
        Timed(**fields)


def test_a_time_with_a_zone_is_taken():
    made = Timed(NOW, (NOW,), NOW, {"a": NOW})
    assert msgspec.json.decode(msgspec.json.encode(made), type=Timed) == made
