"""What bodies and answers are made of. A number is a number, a text a text, and what is not known
is refused."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.urls import register_converter
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from eventstore import currencies
from eventstore.messages import InvalidMessage
from eventstore.money import FINEST, Money

LARGEST_NUMBER = 2**31 - 1
LARGEST_AMOUNT = 10**12
# That are told of; an error takes a hundred times the bytes of the name that it is about.
MOST_UNKNOWN = 100

# What names a stream: short enough for an index, and safe in an address.
KEY_LENGTH = 64
KEY = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{KEY_LENGTH - 1}}}"


def read(shape: "type[StrictSerializer]", data: Any) -> Any:
    """What is built of the data. Raises ValidationError."""
    return _made(shape).run_validation(data)


def serialize(answer: type[serializers.Serializer], row: Any) -> dict[str, Any]:
    """The row as its readers are told of it."""
    return _made(answer).to_representation(row)


@cache
def _made(cls: type[serializers.Serializer]) -> serializers.Serializer:
    """Made once: DRF copies all fields for each object, which takes longer than what they do, and
    they keep nothing."""
    return cls()


class StrictSerializer(serializers.Serializer):
    """The members of an object, and no others. makes: what is built of them."""

    makes: ClassVar[type] = dict

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (
            unknown := list(islice(self._unknown(data), MOST_UNKNOWN))
        ):
            raise serializers.ValidationError(
                {name: ["This is not known here."] for name in unknown}, "unknown"
            )
        values = super().to_internal_value(data)
        try:
            return self.makes(**values)
        except InvalidMessage as error:
            raise serializers.ValidationError(
                {"non_field_errors": [str(error)]}, "invalid"
            ) from None

    def _unknown(self, data: Mapping[str, Any]) -> Iterator[str]:
        return (name for name in data if name not in self.fields)


# Refused already where blanks are trimmed; a validator makes it a part of the API's description.
# Python takes some characters for white space that others do not.
NOT_BLANK = RegexValidator(r"[^\s\x1c-\x1f\x85]", "This is blank.", "blank")


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
    """A SKU, or any other name of a stream."""

    def __init__(self, **options: Any) -> None:
        known = RegexValidator(
            rf"^{KEY}\Z",
            f"At most {KEY_LENGTH} of letters, digits, '.', '_' and '-', not beginning with a"
            " sign.",
        )
        super().__init__(validators=[known], **options)


class Whole(serializers.IntegerField):
    """A whole number, said as one: not true, not 1e2, not "12"."""

    default_error_messages = {
        "not_whole": "Say a whole number as one: not true, not 1.0, not text."
    }

    def __init__(self, *, min_value: int, max_value: int = LARGEST_NUMBER, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **options)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("not_whole")
        return data


class Digits(Whole):
    """A whole number in a query parameter, where all is text."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch("[0-9]{1,18}", data):
            self.fail("invalid")
        return int(data)


class PriceShape(StrictSerializer):
    """amount: an integer in units of which 10 ** exponent make one of the currency (ISO 4217).

    exponent: the currency's own, unless it is said otherwise, as it is where a price was told in a
    finer unit.
    """

    makes = Money
    amount = Whole(min_value=0, max_value=LARGEST_AMOUNT)
    currency = serializers.ChoiceField(currencies.PAYABLE)
    exponent = Whole(min_value=0, max_value=FINEST, required=False)


class MoneyShape(PriceShape):
    """amount: an integer in the smallest unit of the currency (ISO 4217): 500 JPY are five hundred
    yen.

    exponent: need not be said, and can be no other than the currency's.
    """

    def validate(self, money: Money) -> Money:
        own = currencies.exponent_of(money.currency)
        if money.exponent != own:
            fault = serializers.ErrorDetail(
                f"The exponent of {money.currency} is {own}; leave it out.", "contradiction"
            )
            raise serializers.ValidationError({"exponent": [fault]})
        return money


class Answer(serializers.Serializer):
    """A row of a read model, with where it stands. version: of its stream. position: in the log."""

    version = serializers.IntegerField()
    position = serializers.IntegerField()


class MoneyAnswer(serializers.Serializer):
    """As in a body; what was written off is below 0."""

    amount = serializers.IntegerField()
    currency = serializers.CharField()
    exponent = serializers.IntegerField()


@extend_schema_field(MoneyAnswer)
class MoneyOf(serializers.Field):
    """A row's amount in that column, together with the row's currency and exponent."""

    def __init__(self, column: str) -> None:
        super().__init__(source="*", read_only=True)
        self.column = column

    def to_representation(self, value: Any) -> dict[str, Any]:
        return {
            "amount": getattr(value, self.column),
            "currency": value.currency,
            "exponent": value.exponent,
        }


class KeyConverter:
    regex = KEY

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(KeyConverter, "key")
