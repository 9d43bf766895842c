"""Serializers of requests and responses. Requests are strict: no type is coerced, and unknown
members are rejected."""

import re
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.urls import register_converter
from django.urls.converters import StringConverter
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from eventstore.messages import InvalidMessage
from eventstore.money import FINEST, PAYABLE, Money, exponent_of

LARGEST_NUMBER = 2**31 - 1
LARGEST_AMOUNT = 10**12
# Unknown members that an error lists: an error takes a hundred times the bytes of a name.
MOST_UNKNOWN = 100

# The key of a stream: short enough for an index, and safe in a URL.
KEY_LENGTH = 64
KEY = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{KEY_LENGTH - 1}}}"


def read(shape: "type[StrictSerializer]", data: Any) -> Any:
    """The object that the shape makes of the data. Raises ValidationError."""
    return _instance(shape).run_validation(data)


def serialize(answer: type[serializers.Serializer], row: Any) -> dict[str, Any]:
    """The row as JSON-native values."""
    return _instance(answer).to_representation(row)


@cache
def _instance(cls: type[serializers.Serializer]) -> serializers.Serializer:
    """One for each class: DRF copies all fields for each instance, which takes longer than using
    them, and they have no state."""
    return cls()


class StrictSerializer(serializers.Serializer):
    """An object with these members and no others. makes: the class that is built from them."""

    makes: ClassVar[type] = dict

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = islice((name for name in data if name not in self.fields), MOST_UNKNOWN)
            if errors := {name: ["Unknown member or parameter."] for name in unknown}:
                raise serializers.ValidationError(errors, "unknown")
        values = super().to_internal_value(data)
        try:
            return self.makes(**values)
        except InvalidMessage as error:
            raise serializers.ValidationError(
                {"non_field_errors": [str(error)]}, "invalid"
            ) from None


# DRF rejects blank text by itself where it trims; the validator adds this to the OpenAPI document.
# Python takes some control characters for white space that other languages do not.
NOT_BLANK = RegexValidator(r"[^\s\x1c-\x1f\x85]", "This field may not be blank.", "blank")


class Text(serializers.CharField):
    def __init__(self, *, max_length: int = 255, **options: Any) -> None:
        super().__init__(max_length=max_length, **options)
        if not self.allow_blank:
            self.validators.append(NOT_BLANK)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Key(Text):
    """A SKU, or any other key of a stream."""

    def __init__(self, **options: Any) -> None:
        known = RegexValidator(
            rf"^{KEY}\Z",
            f"Expected 1 to {KEY_LENGTH} letters, digits, '.', '_' or '-', beginning with a letter"
            " or a digit.",
        )
        super().__init__(validators=[known], **options)


class Whole(serializers.IntegerField):
    """A JSON integer: not true, not 1e2, not "12"."""

    default_error_messages = {"not_whole": "Expected a JSON integer, not true, 1.0 or a string."}

    def __init__(self, *, min_value: int, max_value: int = LARGEST_NUMBER, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **options)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("not_whole")
        return data


class Digits(Whole):
    """A whole number in a query parameter, where every value is text."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch("[0-9]{1,18}", data):
            self.fail("invalid")
        return int(data)


class PriceShape(StrictSerializer):
    """amount: an integer; 10 ** exponent of them make one unit of the currency (ISO 4217).

    exponent: the currency's own by default. Prices in a finer unit have a larger one.
    """

    makes = Money
    amount = Whole(min_value=0, max_value=LARGEST_AMOUNT)
    currency = serializers.ChoiceField(PAYABLE)
    exponent = Whole(min_value=0, max_value=FINEST, required=False)


class MoneyShape(PriceShape):
    """amount: an integer in the minor unit of the currency (ISO 4217): 500 JPY are five hundred
    yen.

    exponent: optional; only the currency's own is valid.
    """

    def validate(self, money: Money) -> Money:
        own = exponent_of(money.currency)
        if money.exponent != own:
            fault = serializers.ErrorDetail(
                f"The exponent of {money.currency} is {own}; leave it out.", "contradiction"
            )
            raise serializers.ValidationError({"exponent": [fault]})
        return money


class Answer(serializers.Serializer):
    """A row of a read model. version: of its stream. position: of its last event in the log."""

    version = serializers.IntegerField()
    position = serializers.IntegerField()


class MoneyAnswer(serializers.Serializer):
    """As in a request. A loss is negative."""

    amount = serializers.IntegerField()
    currency = serializers.CharField()
    exponent = serializers.IntegerField()


@extend_schema_field(MoneyAnswer)
class MoneyOf(serializers.Field):
    """The amount in a column of the row, with the row's currency and exponent."""

    def __init__(self, column: str) -> None:
        super().__init__(source="*", read_only=True)
        self.column = column

    def to_representation(self, value: Any) -> dict[str, Any]:
        return {
            "amount": getattr(value, self.column),
            "currency": value.currency,
            "exponent": value.exponent,
        }


class KeyConverter(StringConverter):
    regex = KEY


register_converter(KeyConverter, "key")
