"""Serializers of requests and responses. Requests are strict: no type is coerced, and unknown
members are rejected."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, NamedTuple, cast

from django.core.exceptions import ValidationError
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


# The types of parsed JSON, in messages.
JSON_TYPES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def json_type(value: Any) -> str:
    return next(name for type_, name in JSON_TYPES.items() if isinstance(value, type_))


class StrictSerializer(serializers.Serializer):
    """An object with these members and no others. makes: the class that is built from them."""

    makes: ClassVar[type] = dict

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            detail = f"Expected an object, not {json_type(data)}."
            raise serializers.ValidationError({"non_field_errors": [detail]}, "invalid")
        unknown = {
            name: [serializers.ErrorDetail("Unknown member or parameter.", "unknown")]
            for name in islice((name for name in data if name not in self.fields), MOST_UNKNOWN)
        }
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(unknown | dict(error.detail)) from None  # type: ignore[arg-type]
        if unknown:
            raise serializers.ValidationError(unknown)
        try:
            return self.makes(**values)
        except InvalidMessage as error:
            raise serializers.ValidationError(
                {"non_field_errors": [str(error)]}, "invalid"
            ) from None


# Characters that are invisible, or that change how the text beside them is displayed: control
# characters, soft hyphens, fillers, zero-width characters, and the marks that turn the direction of
# writing. The zero-width joiners (U+200C, U+200D) stay: Persian and Indic names and many emoji are
# written with them.
INVISIBLE = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
)
# The same, of plane 14. Python and JavaScript have no common way to write them in a pattern.
TAGS = re.compile("[\U000e0000-\U000e0fff]")
LINE_ENDS = r"\t\n\r"
BLANK = r" \xa0\u1680\u2000-\u200a\u200c\u200d\u202f\u205f\u3000"
BLANK_CHARACTERS = " \t\n\r\xa0\u200c\u200d\u3000"
# Of texts with several lines: the same, but for the ends of lines and tabulators.
INVISIBLE_IN_LINES = INVISIBLE.replace(r"\x00-\x1f", r"\x00-\x08\x0b\x0c\x0e-\x1f")


class Characters(RegexValidator):
    """Its pattern is in the OpenAPI document."""

    def __call__(self, value: Any) -> None:
        if not cast(re.Pattern[str], self.regex).search(value) or (
            not value.isascii() and TAGS.search(value)
        ):
            if not value.strip(BLANK_CHARACTERS):
                raise ValidationError("This field may not be blank.", "blank")
            raise ValidationError(self.message, self.code)


class TextRule(NamedTuple):
    """What a text may have: text, or with allow_blank, text_or_blank."""

    text: RegexValidator
    text_or_blank: RegexValidator


def _rule(blank: str, invisible: str) -> TextRule:
    problem = "Control characters and invisible characters are not allowed."
    pattern = rf"^[{blank}]*[^{blank}{invisible}][^{invisible}]*\Z"
    return TextRule(
        Characters(pattern, problem, "invisible_characters"),
        Characters(rf"^[^{invisible}]*\Z", problem, "invisible_characters"),
    )


ONE_LINE = _rule(BLANK, INVISIBLE)
LINES = _rule(BLANK + LINE_ENDS, INVISIBLE_IN_LINES)


class Many(serializers.ListField):
    default_error_messages = {"not_a_list": "Expected an array, not {input_type}."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=json_type(data))
        return super().to_internal_value(data)


class Choice(serializers.ChoiceField):
    """expected: what the choices are, where they are too many for an error to name them."""

    def __init__(self, choices: Sequence[str], expected: str = "", **options: Any) -> None:
        expected = expected or f"one of {', '.join(choices)}"
        super().__init__(
            choices, error_messages={"invalid_choice": f"Expected {expected}."}, **options
        )

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            detail = f"Expected a string, not {json_type(data)}."
            raise serializers.ValidationError(detail, "invalid_choice")
        return super().to_internal_value(data)


class OpenChoice(serializers.CharField):
    """A text of a response. Later versions may send other values than these."""

    def __init__(self, choices: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.choices = tuple(choices)


class Text(serializers.CharField):
    """rule: ONE_LINE of visible characters, LINES of them, or None for any characters."""

    def __init__(
        self,
        *,
        max_length: int = 255,
        rule: TextRule | None = ONE_LINE,
        **options: Any,
    ) -> None:
        if rule is None and not options.get("allow_blank"):
            options = {"min_length": 1} | options  # the others have it in their patterns
        super().__init__(max_length=max_length, **options)
        self.longest = max_length
        if rule is not None:
            self.validators.append(rule.text_or_blank if self.allow_blank else rule.text)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        # By its validator DRF counts what is left after trimming; a schema counts all.
        if len(data) > self.longest:
            self.fail("max_length", max_length=self.longest)
        return super().to_internal_value(data)


class Key(Text):
    """A SKU, or any other key of a stream."""

    def __init__(self, **options: Any) -> None:
        known = RegexValidator(
            rf"^{KEY}\Z",
            f"Expected 1 to {KEY_LENGTH} letters, digits, '.', '_' or '-', beginning with a letter"
            " or a digit.",
        )
        super().__init__(rule=TextRule(known, known), **options)


class Whole(serializers.IntegerField):
    """A JSON integer: not true, not 1e2, not "12"."""

    default_error_messages = {"not_whole": "Expected a JSON integer, not true, 1.0 or a string."}

    def __init__(
        self, *, min_value: int = 0, max_value: int = LARGEST_NUMBER, **options: Any
    ) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **options)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("not_whole")
        return data


class Digits(Whole):
    """A whole number in a query parameter, where every value is text."""

    default_error_messages = {"invalid": "Expected a whole number from {least} to {most}."}

    def __init__(self, *, min_value: int, max_value: int = LARGEST_NUMBER, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **options)
        self.least, self.most = min_value, max_value

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch("[0-9]{1,18}", data):
            self.fail("invalid", least=self.least, most=self.most)
        return int(data)


@extend_schema_field(
    {
        "type": "string",
        "anyOf": [{"format": "date-time"}, {"format": "date"}],
        "description": "A time with its zone (RFC 3339), or a date: its midnight in UTC.",
    }
)
class Moment(serializers.DateTimeField):
    default_error_messages = {
        "invalid": (
            "Expected a time with its zone (RFC 3339) such as 2026-01-31T12:00:00Z, or a date."
        )
    }

    def to_internal_value(self, value: Any) -> Any:
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            value += "T00:00:00Z"
        if not re.fullmatch(r"[0-9-]{10}[Tt][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})", value):
            self.fail("invalid")
        return super().to_internal_value(value.upper())


class PriceShape(StrictSerializer):
    """amount: an integer; 10 ** exponent of them make one unit of the currency (ISO 4217).

    exponent: the currency's own by default. Prices in a finer unit have a larger one.
    """

    makes = Money
    amount = Whole(min_value=0, max_value=LARGEST_AMOUNT)
    currency = Choice(PAYABLE, "the code of an ISO 4217 currency with a minor unit")
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
