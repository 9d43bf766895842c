"""Quick readers and the fields themselves are of one opinion about every body."""

import copy

import pytest
from django.core.exceptions import ValidationError as InvalidValue
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from eventstore.api import reading
from eventstore.api.serializers import StrictSerializer, Text, Whole
from eventstore.messages import InvalidMessage
from inventory.api.commands import AdjustStockShape, ReceiveStockShape
from orders.api.commands import (
    AddressShape,
    CancelOrderShape,
    ListProductShape,
    PlaceOrderShape,
)
from orders.api.return_commands import ReceiveReturnShape, RequestReturnShape

ADDRESS = {"name": "Ada", "street": "1 Main St", "city": "Bonn", "country": "DE"}
PRICE = {"amount": 890, "currency": "EUR", "exponent": 2}
VALID = (
    (
        PlaceOrderShape,
        {
            "items": [{"sku": "CUP", "quantity": 2, "seen": PRICE}, {"sku": "TEA", "quantity": 1}],
            "address": ADDRESS | {"postcode": " 53111 "},
            "payment_method": "tok_visa",
        },
    ),
    (AddressShape, ADDRESS),
    (CancelOrderShape, {}),
    (CancelOrderShape, {"reason": "two\nlines"}),
    (ListProductShape, {"sku": "CUP", "name": "Ein Löffel", "price": PRICE}),
    (RequestReturnShape, {"lines": [{"number": 1, "quantity": 1}], "reason": "too small"}),
    (ReceiveReturnShape, {"lines": [{"number": 1, "quantity": 1}]}),
    (ReceiveStockShape, {"quantity": 3}),
    (AdjustStockShape, {"quantity": -3, "reason": "counted"}),
)
TEXTS = (
    *("", " ", " a ", "\u200d", "a\u200b", "a\0", "\ud800", "ü", "\U000e0041", "x" * 256),
    *("tok_visa", "4111 1111 1111 1111", "EUR", "XXX", "de", "DE", "a b", "two\nlines", "1"),
)
ODD = (None, True, False, 0, 1, -1, 2.0, 2**31, 10**13, [], [1], {}, {"sku": "CUP"}, *TEXTS)


@st.composite
def bodies(draw):
    """A shape and a valid body of it in which up to three parts were changed."""
    shape, valid = draw(st.sampled_from(VALID))
    body = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 3))):
        body = changed(draw, body)
    return shape, body


def changed(draw, value):
    act = draw(st.sampled_from(("replace", "remove", "add", "deeper", "deeper", "deeper")))
    if act == "replace" or not value or not isinstance(value, dict | list):
        return copy.deepcopy(draw(st.sampled_from(ODD)))
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    match act:
        case "deeper":
            value[key] = changed(draw, value[key])
        case "remove":
            del value[key]
        case _ if isinstance(value, dict):
            value[draw(st.sampled_from(("extra", "reason", "exponent")))] = "1"
        case _:
            value.append(copy.deepcopy(value[key]))
    return value


def outcome(function, *arguments):
    try:
        found = function(*arguments)
    except ValidationError as error:
        return "refused", error.get_full_details()
    return type(found), found


@given(bodies())
@settings(max_examples=1500, deadline=None)
def test_each_body_is_read_or_refused_as_by_the_fields(drawn):
    shape, body = drawn
    by_fields = outcome(reading.instance(shape).run_validation, copy.deepcopy(body))
    assert outcome(reading.read, shape, body) == by_fields


@pytest.mark.parametrize(("shape", "body"), VALID, ids=lambda each: getattr(each, "__name__", ""))
def test_a_valid_body_is_read_quickly(shape, body, monkeypatch):
    def never(self, value):
        raise AssertionError("read by the field")

    expected = reading.instance(shape).run_validation(body)
    monkeypatch.setattr(serializers.Field, "run_validators", never)
    monkeypatch.setattr(serializers.Serializer, "run_validators", never)
    assert reading.reader(shape)(body) == expected


class Shouting(Text):
    def to_internal_value(self, data):
        return super().to_internal_value(data).upper()


class Patient(Whole):
    def run_validation(self, data=serializers.empty):
        return super().run_validation(data) + 1


def odd_number(value, field):
    if value % 2 == 0:
        raise serializers.ValidationError("Expected an odd number.", "even")


odd_number.requires_context = True


class OfAStranger(StrictSerializer):
    loud = Shouting()
    later = Patient(min_value=1)
    odd = Whole(min_value=1, validators=[odd_number])
    maybe = Text(allow_null=True, required=False)
    other = serializers.BooleanField(required=False)
    raw = Text(trim_whitespace=False, required=False)


class Renamed(StrictSerializer):
    inner = Text(source="outer")


class WithAMethod(StrictSerializer):
    word = Text()

    def validate_word(self, word):
        return word[::-1]


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (OfAStranger, {"loud": "ab", "later": 1, "odd": 1}),
        (OfAStranger, {"loud": "ab", "later": 1, "odd": 2}),
        (OfAStranger, {"loud": "ab", "later": 1, "odd": 1, "maybe": None, "raw": " a "}),
        (OfAStranger, {"loud": "ab", "later": 1, "odd": 1, "other": "yes"}),
        (Renamed, {"inner": "a"}),
        (WithAMethod, {"word": "abc"}),
    ],
)
def test_what_a_subclass_changes_is_kept(shape, body):
    assert outcome(reading.read, shape, body) == outcome(
        reading.instance(shape).run_validation, body
    )


class Refusing:
    def __init__(self, **values):
        raise InvalidMessage("never")


class RefusedByTheMessage(StrictSerializer):
    makes = Refusing
    word = Text()


class RefusedByItself(StrictSerializer):
    word = Text()

    def validate(self, values):
        raise InvalidValue("never", "never")


@pytest.mark.parametrize("shape", [RefusedByTheMessage, RefusedByItself])
def test_what_refuses_the_whole_is_said_as_by_the_fields(shape):
    _, details = outcome(reading.read, shape, {"word": "a"})
    assert [str(each["message"]) for each in details["non_field_errors"]] == ["never"]
