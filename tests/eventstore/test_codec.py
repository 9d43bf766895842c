"""Messages are checked when they are made, and come back from JSON as they went in."""

import math
from datetime import UTC, datetime, timedelta, timezone
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from config import wiring
from eventstore import codec, log
from eventstore.codec import MAX_DEPTH, Undecodable, Unstorable
from eventstore.messages import INTERNAL, Event, InvalidMessage, Metadata, replace
from eventstore.money import Money
from inventory.commands import StockLine
from orders.commands import Item, PlaceOrder
from shipping.commands import Address

from .toy import Counted

MESSAGES = sorted(
    {cls for table in (*wiring.EVENTS, *wiring.COMMANDS, INTERNAL) for cls in table.values()},
    key=lambda cls: cls.__name__,
)


# Values as the classes allow them; what msgspec knows of a type leads to a strategy.

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
TIMES = st.datetimes(
    min_value=datetime(1, 1, 2),
    max_value=datetime(9999, 12, 30),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]),
)
SCALARS = {
    str: TEXT,
    int: st.integers(),
    bool: st.booleans(),
    NoneType: st.none(),
    datetime: TIMES,
    float: st.floats(allow_nan=False, allow_infinity=False),
}
# Smaller by one than the largest, which `more_than_nothing` adds.
AMOUNTS = st.integers(2 - 2**53, 2**53 - 2)
MONEY = st.builds(
    Money,
    AMOUNTS,
    st.sampled_from(["EUR", "GBP", "JPY"]),
    st.integers(0, 6),
)


def values(type_):
    if type_ in SCALARS:
        return SCALARS[type_]
    if type_ is Money:
        return MONEY
    origin, parts = get_origin(type_), get_args(type_)
    if origin in (Union, UnionType):
        return st.one_of(*map(values, parts))
    if origin is tuple and ... not in parts:
        return st.tuples(*map(values, parts))
    if origin is tuple:
        return st.lists(values(parts[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return made(type_)
    return st.from_type(type_)


# Fields of which the class takes few values.
ONE_OF = {"outcome": "won"}


@st.composite
def made(draw, cls):
    """A message of the class; what the class itself refuses is not drawn again but set right where
    we know how."""
    fields = {field.name: draw(values(field.type)) for field in msgspec.structs.fields(cls)}
    try:
        return cls(**fields)
    except InvalidMessage:
        return cls(
            **{name: ONE_OF.get(name) or more_than_nothing(value) for name, value in fields.items()}
        )


def more_than_nothing(value):
    if isinstance(value, Money):
        return value.of(abs(value.amount) + 1)
    return abs(value) + 1 if type(value) is int else value


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_every_message_of_the_wiring_comes_back_as_it_went_in(cls):
    @settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(made(cls))
    def round_trip(message):
        raw = codec.encode(message)
        assert codec.reader(cls, 1, {})(bytes(raw).decode()) == message

    round_trip()


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_every_message_of_the_wiring_is_frozen_down_to_its_parts(cls):
    for field in msgspec.structs.fields(cls):
        assert _immutable(field.type), f"{cls.__name__}.{field.name} could be changed in place"


def _immutable(type_):
    if get_origin(type_) in (Union, UnionType):
        return all(map(_immutable, get_args(type_)))
    if get_origin(type_) is tuple:
        return all(_immutable(part) for part in get_args(type_) if part is not Ellipsis)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return type_.__struct_config__.frozen
    return get_origin(type_) is None and type_ not in (list, dict, set)


class Measured(Event, frozen=True):
    value: float
    elsewhere: dict[str, tuple[float, ...]] = {}


class Nested(Event, frozen=True):
    box: Any


def nest(depth):
    box = None
    for _ in range(depth - 1):
        box = [box]
    return box


ORDER = {
    "order_id": "o1",
    "customer_id": "c1",
    "items": (),
    "address": Address(),
    "payment_method": "tok_visa",
    "placed_at": datetime(2026, 1, 1, tzinfo=UTC),
}


class TestMaking:
    def test_a_message_cannot_be_changed(self):
        with pytest.raises(AttributeError):
            Counted("a").amount = 5

    def test_two_of_the_same_content_are_equal_and_can_be_keys(self):
        assert Counted("a", 1) == Counted("a", 1) != Counted("a", 2)
        assert len({Counted("a"), Counted("a")}) == 1

    @pytest.mark.parametrize(
        ("cls", "arguments"),
        [
            (Counted, {"counter_id": 5}),
            (Counted, {"counter_id": "a", "amount": "1"}),
            (Counted, {"counter_id": "a", "amount": 1.5}),
            (Counted, {"counter_id": "a", "amount": None}),
            (Money, {"amount": 1.0, "currency": "EUR"}),
            (Money, {"amount": True, "currency": "EUR"}),
            (Money, {"amount": 1, "currency": None}),
            (Address, {"name": b"Ada"}),
            (PlaceOrder, ORDER | {"items": [1]}),
            (PlaceOrder, ORDER | {"address": {}}),
            (PlaceOrder, ORDER | {"placed_at": "today"}),
            (PlaceOrder, ORDER | {"placed_at": "2026-01-01T00:00:00Z"}),
            (PlaceOrder, ORDER | {"items": [Item("A", 1)]}),
            (PlaceOrder, ORDER | {"items": (Item("A", 1), 1)}),
            (PlaceOrder, ORDER | {"items": (Address("Ada"),)}),
            (PlaceOrder, ORDER | {"items": ({"sku": "A", "quantity": 1},)}),
        ],
    )
    def test_a_field_of_the_wrong_type_is_refused_and_named(self, cls, arguments):
        with pytest.raises(InvalidMessage, match=cls.__name__):
            cls(**arguments)

    def test_the_sentence_names_the_field(self):
        with pytest.raises(InvalidMessage, match=r"amount"):
            Counted("a", "1")

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Item("A", 0),
            lambda: StockLine("A", -1),
            lambda: Money(1, "eur"),
            lambda: Money(1, "EURO"),
            lambda: Money(1, "EUR", 7),
        ],
    )
    def test_a_value_that_makes_no_sense_is_refused(self, make):
        with pytest.raises(InvalidMessage):
            make()

    def test_a_field_too_many_or_too_few_is_refused(self):
        with pytest.raises(TypeError):
            Counted("a", 1, "", "more")
        with pytest.raises(TypeError):
            Counted()

    def test_a_changed_copy_is_checked_as_well(self):
        assert replace(Counted("a"), amount=5) == Counted("a", 5)


class TestEncoding:
    @pytest.mark.parametrize("limit", [1 << 20, 1000])
    def test_the_size_has_a_limit_that_is_itself_allowed(self, settings, limit):
        if limit != 1 << 20:  # what it is where nothing is said
            settings.EVENTSTORE_MAX_MESSAGE_BYTES = limit
        empty = len(bytes(codec.encode(Counted("a"))))
        codec.encode(Counted("a", note="x" * (limit - empty)))
        with pytest.raises(Unstorable, match=f"{limit + 1} bytes; the limit is {limit}"):
            codec.encode(Counted("a", note="x" * (limit - empty + 1)))

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_a_float_that_is_no_number_is_refused_for_json_would_make_it_null(self, number):
        codec.encode(Measured(1.5, {"here": (0.0,)}))
        with pytest.raises(Unstorable, match="Measured has"):
            codec.encode(Measured(number))
        with pytest.raises(Unstorable, match="Measured has"):
            codec.encode(Measured(1.5, {"here": (number,)}))

    def test_nesting_has_a_limit_that_is_itself_allowed(self):
        codec.encode(Nested(nest(MAX_DEPTH - 1)))
        for depth in (MAX_DEPTH, 500, 100_000):
            with pytest.raises(Unstorable, match=f"deeper than {MAX_DEPTH}"):
                codec.encode(Nested(nest(depth)))

    @pytest.mark.parametrize("text", ["\x00", "a\x00b", "\\\x00", "\\\\\x00", "\x00\\u0000"])
    def test_nul_is_refused(self, text):
        with pytest.raises(Unstorable, match="NUL"):
            codec.encode(Counted("a", note=text))

    @pytest.mark.parametrize(
        "text", [r"\u0000", r"\\u0000", "u0000", "\\", "\u2028", "\U0001f600", "\x01", "\x7f"]
    )
    def test_what_only_looks_like_it_is_not(self, text):
        raw = codec.encode(Counted("a", note=text))
        assert codec.decode_json(bytes(raw))["note"] == text

    @pytest.mark.parametrize("text", ["\ud800", "a\udc00b"])
    def test_half_a_character_is_refused(self, text):
        with pytest.raises(Unstorable, match="surrogate"):
            codec.encode(Counted("a", note=text))


class TestDecoding:
    @pytest.mark.parametrize(
        "data",
        ["{}", '{"counter_id": 5}', '{"counter_id": "a", "amount": "1"}', "[]", "null", '"a"'],
    )
    def test_what_does_not_fit_is_undecodable_and_says_what(self, data):
        with pytest.raises(Undecodable, match="Counted"):
            codec.reader(Counted, 1, {})(data)

    def test_what_a_class_would_refuse_today_is_read_all_the_same(self):
        """Rules are for what is said now; the past is what it is."""
        with pytest.raises(InvalidMessage, match="must be at least 1"):
            StockLine("A", 0)
        read = codec.reader(StockLine, 1, {})('{"sku": "A", "quantity": 0}')
        assert (read.sku, read.quantity) == ("A", 0)

    def test_fields_that_only_newer_code_knows_are_passed_over(self):
        assert codec.reader(Counted, 1, {})('{"counter_id": "a", "colour": "red"}') == Counted("a")

    def test_upcasters_are_applied_one_after_another_from_the_version_stored(self):
        steps = {
            1: lambda data: {"counter_id": data["id"], "quantity": data["quantity"]},
            2: lambda data: {"counter_id": data["counter_id"], "amount": data["quantity"]},
        }
        assert codec.reader(Counted, 1, steps)('{"id": "a", "quantity": 4}') == Counted("a", 4)
        assert codec.reader(Counted, 2, steps)('{"counter_id": "a", "quantity": 4}') == Counted(
            "a", 4
        )
        assert codec.reader(Counted, 3, steps)('{"counter_id": "a", "amount": 4}') == Counted(
            "a", 4
        )

    @pytest.mark.parametrize(
        "step", [lambda data: data["gone"], lambda data: None, lambda data: 1 / 0, lambda data: 5]
    )
    def test_an_upcaster_at_fault_makes_it_undecodable(self, step):
        with pytest.raises(Undecodable):
            codec.reader(Counted, 1, {1: step})('{"counter_id": "a"}')


@pytest.mark.django_db(transaction=True)
class TestThroughTheDatabase:
    @pytest.mark.parametrize(
        "note", ["\U0001f600 \u202e ß 中", r"\u0000", '"', "\\", "\x01", "é".encode().decode()]
    )
    def test_any_text_comes_back(self, toys, note):
        log.append("counter-a", [Counted("a", 2**53, note)], expected=0)
        assert next(log.read_stream("counter-a")).body == Counted("a", 2**53, note)

    def test_what_cannot_be_stored_stores_nothing(self, toys):
        with pytest.raises(Unstorable):
            log.append("counter-a", [Counted("a"), Counted("a", note="\x00")], expected=0)
        assert list(log.read_log()) == []

    @pytest.mark.parametrize("text", ["\x00", "\ud800"])
    @pytest.mark.parametrize("field", ["actor", "trace", "command"])
    def test_what_comes_with_an_event_is_bound_by_the_same_rules(self, toys, field, text):
        with pytest.raises(Unstorable):
            log.append(
                "counter-a", [Counted("a")], expected=0, metadata=Metadata(uuid7(), **{field: text})
            )
        assert list(log.read_log()) == []

    def test_metadata_comes_back(self, toys):
        metadata = Metadata(uuid7(), uuid7(), "ada", "00-trace", "toy.count")
        log.append("counter-a", [Counted("a")], expected=0, metadata=metadata)
        assert next(log.read_stream("counter-a")).metadata == metadata
