"""Which fields of messages, states and rows are personal data, and how they are masked.

The wiring's PERSONAL lists the fields. Data that no present class describes is masked as a whole.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from eventstore import codec, registry
from eventstore.log import audit
from eventstore.messages import BrokerMessage, Metadata
from eventstore.postgres import rows
from eventstore.subscriptions import Saga

HIDDEN = "•••"

MESSAGES = """
    SELECT position, type, data FROM eventstore_event WHERE position = ANY(%s)
    UNION ALL
    SELECT position, type, payload FROM eventstore_outbox WHERE position = ANY(%s)
        AND payload IS NOT NULL
"""

# Matched only at the beginning of a word and with possessive quantifiers: a long word takes one
# pass.
E_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(\.[\w-]++)++")
# Lines in which PostgreSQL quotes the row that it rejected, or the text that it could not parse.
QUOTED = re.compile(r"^(DETAIL|CONTEXT):.*$", re.MULTILINE)
PLACE = re.compile(r" at position (\d+): ")
CLASS_OF_ERROR = re.compile(r"[A-Za-z_][\w.]*(?=[:(]|$)")

# Types whose values are never scalars, or may be anything.
NOT_SCALAR = inspect.StructType | inspect.CollectionType | inspect.DictType | inspect.AnyType


def of_message(name: str, data: Any) -> Any:
    """Mask stored data, of whatever schema version: a field that the present class lacks is
    masked."""
    return _mask(_class_of(name), data)


def of_data(cls: type | None, data: Any) -> Any:
    """Mask JSON that a class describes; without a class, all of it."""
    return _mask(cls, data)


def of_metadata(data: Any) -> Any:
    return _mask(Metadata, data)


def of_saga(name: str, state: Any) -> Any:
    """Mask the stored state of a process."""
    saga = registry.subscriptions().get(name)
    return _mask(type(saga.initial) if isinstance(saga, Saga) else None, state)


def of_struct(struct: msgspec.Struct) -> Any:
    """A message or a state as masked JSON."""
    return _mask(type(struct), msgspec.to_builtins(struct))


def without(message: Any) -> Any:
    """The same message with its personal fields masked. Such fields are texts, so the mask fits
    their type.

    Raises msgspec.ValidationError if the class rejects the mask.
    """
    return msgspec.convert(of_struct(message), type(message), strict=False)


def holds(cls: type) -> bool:
    """Whether a message of this class, or a part of one, may hold personal data."""
    return _holds(cls)


@cache
def _holds(cls: type) -> bool:
    named, kind = registry.personal().get(cls, frozenset()), _type_info(cls)
    assert isinstance(kind, inspect.StructType)
    return bool(named) or any(_may_hold(field.type) for field in kind.fields)


def _may_hold(kind: inspect.Type) -> bool:
    match kind:
        case inspect.StructType(cls=cls):
            return _holds(cls)
        case inspect.UnionType(types=kinds):
            return any(map(_may_hold, kinds))
        case inspect.ListType(item_type=each) | inspect.VarTupleType(item_type=each):
            return _may_hold(each)
        case inspect.DictType(value_type=each):
            return _may_hold(each)
    return isinstance(kind, inspect.CollectionType | inspect.AnyType)


def hide_within(value: Any) -> Any:
    """Mask each value inside. The structure stays, so that it fits its schema."""
    match value:
        case dict():
            return {name: hide_within(each) for name, each in value.items()}
        case list():
            return [hide_within(each) for each in value]
    return hide(value)


def hide(value: Any) -> Any:
    """Mask a value. Empty values stay, so whether there was one remains visible."""
    return HIDDEN if value not in (None, "", [], {}, ()) else value


def reveal(who: str, subject: str, *, reason: str, details: Mapping[str, Any]) -> None:
    """Record in the audit log who is about to see the data, and why. Raises audit.ReasonMissing."""
    audit.record(who, "reveal", subject, reason=audit.require_reason(reason), details=details)


class Trouble(NamedTuple):
    """The failure of the message at a position."""

    position: int
    error: str
    traceback: str = ""


def of_troubles(troubles: Sequence[Trouble]) -> list[Trouble]:
    """Mask failures: an error may quote the message's personal data. If the message is not
    readable, only the class of the error stays."""
    secrets = _personal_texts([each.position for each in troubles])
    return [
        each._replace(
            error=_redact(each.error, secrets.get(each.position)),
            traceback=_redact(each.traceback, secrets.get(each.position)),
        )
        for each in troubles
    ]


def of_column(model: type, column: str, value: Any) -> Any:
    """Mask a value of a read model's row. column: "" for the whole row, as a dict by column."""
    named = registry.personal().get(model, frozenset())
    if column:
        return hide(value) if column in named else value
    return value and {name: hide(each) if name in named else each for name, each in value.items()}


def of_rebuild(error: str) -> str:
    """Mask the error of a rebuild, which failed at a message or for a reason of the table."""
    place = PLACE.search(error)
    if place is None:
        return _redact(error, ())
    (masked,) = of_troubles([Trouble(int(place.group(1)), error[place.end() :])])
    return error[: place.end()] + masked.error


def _class_of(name: str) -> type | None:
    return registry.types().get(registry.renamed().get(name, name))


def _mask(cls: type | None, data: Any) -> Any:
    return hide(data) if cls is None else _walk(_type_info(cls), data, hide)


@cache
def _type_info(cls: type) -> inspect.Type:
    return inspect.type_info(cls)


def _walk(kind: inspect.Type, data: Any, hide: Callable[[Any], Any]) -> Any:
    """The data with each personal value replaced by hide(value), as is each value that does not fit
    its type."""
    match kind, data:
        case inspect.UnionType(types=kinds), _:
            fitting = [each for each in kinds if _fits(each, data)]
            # Of scalars any type will do; of objects it must be clear which one describes them.
            if len(fitting) == 1 or (fitting and _is_scalar(data)):
                return _walk(fitting[0], data, hide)
        case inspect.StructType(cls=cls, fields=fields), dict():
            personal = registry.personal().get(cls, ())
            types = {each.encode_name: each.type for each in fields if each.name not in personal}
            return {
                name: _walk(types[name], value, hide) if name in types else hide(value)
                for name, value in data.items()
            }
        case inspect.DictType(value_type=each), dict():
            return {name: _walk(each, value, hide) for name, value in data.items()}
        case (
            inspect.ListType(item_type=each) | inspect.VarTupleType(item_type=each),
            list() | tuple(),
        ):
            return [_walk(each, value, hide) for value in data]
        case _ if _is_scalar(data) and not isinstance(kind, NOT_SCALAR):
            return data
    return hide(data)


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


def _is_scalar(data: Any) -> bool:
    return not isinstance(data, dict | list | tuple)


def _personal_texts(positions: Sequence[int]) -> dict[int, list[str]]:
    """Personal texts by position. A deleted message, or one of an unknown class, has no entry."""
    found: dict[int, list[str]] = {}

    def collect(position: int, value: Any) -> None:
        found[position].extend(_texts(value))

    for position, name, data in rows(MESSAGES, [list(positions), list(positions)]):
        if (cls := _class_of(name)) is not None:
            found[position] = []
            decoded = msgspec.json.decode(data) if isinstance(data, str) else data
            if cls is BrokerMessage:
                found[position] = _texts_of_others(decoded)
            else:
                _walk(_type_info(cls), decoded, partial(collect, position))
    return found


def _texts_of_others(message: Any) -> list[str]:
    """The texts in a message of a broker; none if its value is not JSON, which no handler has
    seen."""
    value = msgspec.convert(message, BrokerMessage).value or b""
    try:
        found = codec.decode_foreign(value)
        if isinstance(found, dict) and "specversion" in found:
            found = codec.data_of_event(found)
    except codec.Undecodable:
        return []
    return list(_strings(found))


def _strings(value: Any) -> Iterator[str]:
    match value:
        case dict():
            yield from _strings(list(value.values()))
        case list():
            for each in value:
                yield from _strings(each)
        case str() if value.strip():
            yield value


def _texts(value: Any) -> Iterable[str]:
    match value:
        case dict():
            return [text for each in value.values() for text in _texts(each)]
        case list() | tuple():
            return [text for each in value for text in _texts(each)]
    return [str(value)] if value not in (None, "") else []


def _redact(text: str, secrets: Sequence[str] | None) -> str:
    """Mask the secrets in an error text. secrets: None if they are unknown; then only the class of
    the error stays."""
    if secrets is None:
        error_class = CLASS_OF_ERROR.match(text)
        return f"{error_class.group()}: {HIDDEN}" if error_class else str(hide(text))
    # As plain text, as in a Python repr, and as in JSON; the longest first.
    forms = {
        form
        for each in secrets
        for form in (each, repr(each)[1:-1], msgspec.json.encode(each).decode()[1:-1])
    }
    for form in sorted(forms, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", HIDDEN, text, flags=re.IGNORECASE)
    return E_MAIL.sub(HIDDEN, QUOTED.sub(rf"\1: {HIDDEN}", text))
