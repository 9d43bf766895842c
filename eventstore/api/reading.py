"""Read the data of a request by its shape.

Valid data is read by functions that are made of the shape's fields once. They take about a third of
the time of Django REST framework, and know nothing but that the data is valid: whatever else they
meet is read again by the fields themselves, which say what is wrong with it.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.core.exceptions import ValidationError as InvalidValue
from django.core.validators import (
    MaxLengthValidator,
    MaxValueValidator,
    MinLengthValidator,
    MinValueValidator,
    ProhibitNullCharactersValidator,
)
from rest_framework import fields
from rest_framework.exceptions import ValidationError
from rest_framework.serializers import Field, Serializer
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from eventstore.messages import InvalidMessage

from .serializers import Choice, Many, StrictSerializer, Text, Whole

Reader = Callable[[Any], Any]


class Unread(Exception):
    """The data is not of the ordinary form, or not valid."""


def read(shape: type[StrictSerializer], data: Any) -> Any:
    """The object that the shape makes of the data. Raises ValidationError."""
    try:
        return reader(shape)(data)
    except (Unread, InvalidMessage, InvalidValue, ValidationError):
        return instance(shape).run_validation(data)


def serialize(answer: type[Serializer], row: Any) -> dict[str, Any]:
    """The row as JSON-native values."""
    return instance(answer).to_representation(row)


@cache
def instance(cls: type[Serializer]) -> Serializer:
    """One for each class: DRF copies all fields for each instance, which takes longer than using
    them, and they have no state."""
    return cls()


@cache
def reader(shape: type[StrictSerializer]) -> Reader:
    """Returns what the shape makes of valid data. For other data it raises one of the exceptions
    that `read` catches."""
    return _reader(instance(shape))


def _reader(field: Field) -> Reader:
    """A field reads itself if it is of another class, or changes what its class does."""
    cls = type(field)
    made = READERS.get(getattr(cls, "to_internal_value", None))
    is_ordinary = cls.run_validation in ORDINARY and not field.allow_null
    needs_field = any(getattr(each, "requires_context", False) for each in field.validators)
    if made is None or not is_ordinary or needs_field:
        return field.run_validation
    return made(field)


def _text(field: Text) -> Reader:
    longest, may_be_blank = field.longest, field.allow_blank
    shortest = field.min_length or 0
    checks = _others(field, MaxLengthValidator, MinLengthValidator, *CHARACTERS)

    def read(value: Any) -> Any:
        if type(value) is not str or len(value) > longest or "\0" in value:
            raise Unread
        if not value.isascii():
            NO_SURROGATES(value)
        value = value.strip()
        if not value and may_be_blank:
            return value
        if not value or len(value) < shortest:
            raise Unread
        for check in checks:
            check(value)
        return value

    return read if field.trim_whitespace else field.run_validation


def _whole(field: Whole) -> Reader:
    least: Any = field.min_value
    most: Any = field.max_value
    checks = _others(field, MinValueValidator, MaxValueValidator)

    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise Unread
        for check in checks:
            check(value)
        return value

    return read


def _choice(field: Choice) -> Reader:
    choices, checks = field.choice_strings_to_values, _others(field)

    def read(value: Any) -> Any:
        if type(value) is not str or value not in choices:
            raise Unread
        for check in checks:
            check(value)
        return choices[value]

    return read


def _many(field: Many) -> Reader:
    least = max(field.min_length or 0, 0 if field.allow_empty else 1)
    most = field.max_length
    read_one = _reader(field.child)
    checks = _others(field, MinLengthValidator, MaxLengthValidator)

    def read(value: Any) -> list[Any]:
        if type(value) is not list or len(value) < least or (most and len(value) > most):
            raise Unread
        found = [read_one(each) for each in value]
        for check in checks:
            check(found)
        return found

    return read


def _members(shape: StrictSerializer) -> Reader:
    members = {each.field_name: each for each in shape._writable_fields}
    defaults = {
        name: each.get_default for name, each in members.items() if each.default is not fields.empty
    }
    if (
        len(members) < len(shape.fields)
        or shape.validators
        or any(each.source_attrs != [name] for name, each in members.items())
        or any(hasattr(shape, f"validate_{name}") for name in members)
    ):
        return shape.run_validation
    readers = {name: _reader(each) for name, each in members.items()}
    required = {name for name, each in members.items() if each.required}
    makes, validate = shape.makes, shape.validate

    def read(data: Any) -> Any:
        if not isinstance(data, Mapping) or not required <= data.keys() <= readers.keys():
            raise Unread
        values = {name: readers[name](value) for name, value in data.items()}
        for name, default in defaults.items():
            if name not in values:
                values[name] = default()
        return validate(makes(**values))

    return read


def _others(field: Field, *known: type) -> list[Any]:
    """The validators that are not of these classes: theirs is checked beforehand."""
    return [each for each in field.validators if type(each) not in known]


NO_SURROGATES = ProhibitSurrogateCharactersValidator()
CHARACTERS = (ProhibitNullCharactersValidator, ProhibitSurrogateCharactersValidator)

# By the method that gives a field its meaning.
READERS: dict[Any, Callable[[Any], Reader]] = {
    Text.to_internal_value: _text,
    Whole.to_internal_value: _whole,
    Choice.to_internal_value: _choice,
    Many.to_internal_value: _many,
    StrictSerializer.to_internal_value: _members,
}
ORDINARY = (Field.run_validation, fields.CharField.run_validation, Serializer.run_validation)
