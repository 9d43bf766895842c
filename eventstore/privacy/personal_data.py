"""What of messages, states and rows is about a person, and how it is hidden from whom it is not
for.

The wiring's PERSONAL says which fields; what no class of today explains is hidden whole.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from eventstore import registry
from eventstore.log import audit
from eventstore.messages import Metadata
from eventstore.postgres import rows
from eventstore.subscriptions import Saga

HIDDEN = "•••"

MESSAGES = """
    SELECT position, type, data FROM eventstore_event WHERE position = ANY(%s)
    UNION ALL
    SELECT position, type, payload FROM eventstore_outbox WHERE position = ANY(%s)
        AND payload IS NOT NULL
"""

# Looked for at the beginning of a word alone, and without going back: a long word takes one pass.
E_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(\.[\w-]++)++")
# Where PostgreSQL quotes the row that it would not take, or what it could not read.
QUOTED = re.compile(r"^(DETAIL|CONTEXT):.*$", re.MULTILINE)
PLACE = re.compile(r" at position (\d+): ")
CLASS_OF_ERROR = re.compile(r"[A-Za-z_][\w.]*(?=[:(]|$)")


def of_message(name: str, data: Any) -> Any:
    """What is stored under a name, under whatever schema version: a field that today's class has
    not is hidden."""
    return _hidden(_class_of(name), data)


def of_metadata(data: Any) -> Any:
    return _hidden(Metadata, data)


def of_saga(name: str, state: Any) -> Any:
    """A process's state as it is stored."""
    saga = registry.subscriptions().get(name)
    return _hidden(type(saga.initial) if isinstance(saga, Saga) else None, state)


def of_struct(struct: msgspec.Struct) -> Any:
    """A message, or a state, as JSON has it."""
    return _hidden(type(struct), msgspec.to_builtins(struct))


def without(message: Any) -> Any:
    """The same message with its personal fields hidden; they are texts, and so stay what their
    class wants."""
    return msgspec.convert(of_struct(message), type(message), strict=False)


def holds(cls: type) -> bool:
    """Whether there may be anything personal in a message, or a part of one, of this class."""
    return _holds(cls)


@cache
def _holds(cls: type) -> bool:
    named, kind = registry.personal().get(cls, frozenset()), _kind(cls)
    assert isinstance(kind, inspect.StructType)
    return bool(named) or any(_may_hold(field.type) for field in kind.fields)


def _may_hold(kind: inspect.Type) -> bool:
    match kind:
        case inspect.StructType(cls=cls):
            return holds(cls)
        case inspect.UnionType(types=kinds):
            return any(map(_may_hold, kinds))
        case inspect.ListType(item_type=each) | inspect.VarTupleType(item_type=each):
            return _may_hold(each)
        case inspect.DictType(value_type=each):
            return _may_hold(each)
    return isinstance(kind, inspect.CollectionType | inspect.AnyType)


def hide_within(value: Any) -> Any:
    """Of the same form, so that it fits its description, and nothing is left in it to tell."""
    match value:
        case dict():
            return {name: hide_within(each) for name, each in value.items()}
        case list():
            return [hide_within(each) for each in value]
    return hide(value)


def hide(value: Any) -> Any:
    """Nothing is left to tell, but whether there was anything."""
    return HIDDEN if value not in (None, "", [], {}, ()) else value


def reveal(who: str, subject: str, *, reason: str, details: Mapping[str, Any]) -> None:
    """Write down who is about to see it, and why. Raises audit.ReasonMissing."""
    audit.record(who, "reveal", subject, reason=audit.require_reason(reason), details=details)


class Trouble(NamedTuple):
    """What went wrong with the message at a position."""

    position: int
    error: str
    traceback: str = ""


def of_troubles(troubles: Sequence[Trouble]) -> list[Trouble]:
    """What the message says of a person, its error may repeat; without the message, only the
    error's class is told."""
    secrets = _secrets([each.position for each in troubles])
    return [
        each._replace(
            error=_without(each.error, secrets.get(each.position)),
            traceback=_without(each.traceback, secrets.get(each.position)),
        )
        for each in troubles
    ]


def of_column(model: type, column: str, value: Any) -> Any:
    """A value of a read model's row; the whole row, by its columns, where no column is named."""
    named = registry.personal().get(model, frozenset())
    if column:
        return hide(value) if column in named else value
    return value and {name: hide(each) if name in named else each for name, each in value.items()}


def of_rebuild(error: str) -> str:
    """Why a rebuild failed: at some message, or for a reason of the table's."""
    place = PLACE.search(error)
    if place is None:
        return _without(error, ())
    (told,) = of_troubles([Trouble(int(place.group(1)), error[place.end() :])])
    return error[: place.end()] + told.error


def _class_of(name: str) -> type | None:
    return registry.types().get(registry.renamed().get(name, name))


def _hidden(cls: type | None, data: Any) -> Any:
    return hide(data) if cls is None else _walked(_kind(cls), data, hide)


@cache
def _kind(cls: type) -> inspect.Type:
    return inspect.type_info(cls)


def _walked(kind: inspect.Type, data: Any, hide: Callable[[Any], Any]) -> Any:
    """The data with what is personal handed to `hide`, and so is whatever is not of the kind that
    it should be."""
    match kind, data:
        case inspect.UnionType(types=kinds), _:
            fitting = [each for each in kinds if _fits(each, data)]
            return (
                _walked(fitting[0], data, hide)
                if len(fitting) == 1 or _is_plain(data) and fitting
                else hide(data)
            )
        case inspect.StructType(cls=cls, fields=fields), dict():
            return _fields_walked(cls, fields, data, hide)
        case inspect.DictType(value_type=each), dict():
            return {name: _walked(each, value, hide) for name, value in data.items()}
        case inspect.ListType(item_type=each) | inspect.VarTupleType(
            item_type=each
        ), list() | tuple():
            return [_walked(each, value, hide) for value in data]
        case (
            (
                inspect.StructType()
                | inspect.CollectionType()
                | inspect.DictType()
                | inspect.AnyType()
            ),
            _,
        ):
            return hide(data)
        case _ if _is_plain(data):
            return data
    return hide(data)


def _fields_walked(
    cls: type, fields: Iterable[inspect.Field], data: Mapping[str, Any], hide: Any
) -> dict[str, Any]:
    kinds = {
        field.encode_name: field.type
        for field in fields
        if field.name not in registry.personal().get(cls, ())
    }
    return {
        name: _walked(kinds[name], value, hide) if name in kinds else hide(value)
        for name, value in data.items()
    }


def _fits(kind: inspect.Type, data: Any) -> bool:
    match data:
        case None:
            return isinstance(kind, inspect.NoneType)
        case dict():
            return isinstance(kind, inspect.StructType | inspect.DictType)
        case list() | tuple():
            return isinstance(kind, inspect.CollectionType)
    return not isinstance(
        kind, inspect.StructType | inspect.DictType | inspect.CollectionType | inspect.NoneType
    )


def _is_plain(data: Any) -> bool:
    return not isinstance(data, dict | list | tuple)


def _secrets(positions: Sequence[int]) -> dict[int, list[str]]:
    """The personal texts of the messages at these positions; none for what is there no more, or has
    no class."""
    found: dict[int, list[str]] = {}
    for position, name, data in rows(MESSAGES, [list(positions), list(positions)]):
        cls = _class_of(name)
        if cls is not None:
            found[position] = _personal_texts(
                cls, msgspec.json.decode(data) if isinstance(data, str) else data
            )
    return found


def _personal_texts(cls: type, data: Any) -> list[str]:
    found: list[str] = []
    _walked(_kind(cls), data, lambda value: found.extend(_texts(value)))
    return found


def _texts(value: Any) -> Iterable[str]:
    match value:
        case dict():
            return [text for each in value.values() for text in _texts(each)]
        case list() | tuple():
            return [text for each in value for text in _texts(each)]
    return [str(value)] if value not in (None, "") else []


def _without(text: str, secrets: Sequence[str] | None) -> str:
    if secrets is None:
        told = CLASS_OF_ERROR.match(text)
        return f"{told.group()}: {HIDDEN}" if told else str(hide(text))
    # As a text stands in a sentence, and as it stands in the form that Python and JSON give it; the
    # longest first.
    forms = {
        form
        for each in secrets
        for form in (each, repr(each)[1:-1], msgspec.json.encode(each).decode()[1:-1])
    }
    for form in sorted(forms, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", HIDDEN, text, flags=re.IGNORECASE)
    return E_MAIL.sub(HIDDEN, QUOTED.sub(rf"\1: {HIDDEN}", text))
