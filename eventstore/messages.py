"""Messages: events (facts, past tense), commands (requests, imperative), and their envelope."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypedDict, dataclass_transform, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import inspect
from msgspec.structs import astuple
from msgspec.structs import replace as replace  # the one way to change a frozen message or state

# All of these are frozen and consist of JSON values, so they cannot be part of a reference cycle.
# With gc=False the garbage collector skips them, also while a page of the log is read.


class InvalidMessage(ValueError):
    """A field of a message has the wrong type or value; the text names both."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Checked(msgspec.StructMeta):
    """Checks the types and values of a message when code creates it. Decoding a stored message
    checks the types anyway."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        message = super().__call__(*args, **kwargs)
        values, (classes, rows, moments, _) = astuple(message), _shape(cls)
        # True for nearly all messages, and a fast check.
        is_exact = tuple(map(type, values)) == classes
        for index, of in rows:
            is_exact = is_exact and of.issuperset(map(type, values[index]))
        if not is_exact:
            _check_types(cls, values)
        for index in moments:
            _refuse_naive(cls, index, values[index])
        message.validate()
        return message


class Shape(NamedTuple):
    """classes: for each field the class of its values; None where its type is more than a class.
    rows: for each field that is a tuple of one class, its index and that class. moments: the
    indexes of fields with times. fields: the declared types, for the slow check."""

    classes: tuple[type | None, ...]
    rows: tuple[tuple[int, frozenset[type]], ...]
    moments: tuple[int, ...]
    fields: Any


@cache
def _shape(cls: type) -> Shape:
    fields = {field.name: field.type for field in msgspec.structs.fields(cls)}
    for name, foreign in foreign_classes(cls):
        raise InvalidMessage(
            f"{cls.__name__}.{name} has values of the class {foreign.__name__}, which are not"
            " checked when they are made. Derive the class from eventstore.messages.Value."
        )
    infos = inspect.multi_type_info(fields.values())
    moments = [index for index, each in enumerate(infos) if _holds_times(each)]
    classes: list[type | None] = []
    rows: list[tuple[int, frozenset[type]]] = []
    for index, type_ in enumerate(fields.values()):
        item, *rest = get_args(type_) or (None,)
        if get_origin(type_) is tuple and rest == [...] and isinstance(item, type):
            classes.append(tuple)
            rows.append((index, frozenset((item,))))
        else:
            classes.append(type_ if isinstance(type_, type) else None)
    declared = TypedDict(cls.__name__, fields, total=False)  # type: ignore[misc]
    return Shape(tuple(classes), tuple(rows), tuple(moments), declared)


def _check_types(cls: Checked, values: tuple[Any, ...]) -> None:
    """The slow check, for the fields whose values do not have exactly their class."""
    shape = _shape(cls)
    given = {
        name: value
        for name, its_class, value in zip(cls.__struct_fields__, shape.classes, values, strict=True)
        if type(value) is not its_class or its_class is tuple
    }
    try:
        converted = msgspec.convert(given, shape.fields)
    except msgspec.ValidationError as error:
        raise InvalidMessage(f"{cls.__name__}: {error}") from None
    # For instance a list for a tuple or a string for a time: valid in JSON, but not in a message.
    if converted != given:
        names = ", ".join(name for name in given if converted[name] != given[name])
        raise InvalidMessage(f"{cls.__name__}: convert {names} to the declared type first.")


def foreign_classes(cls: type) -> Iterator[tuple[str, type]]:
    """Fields of a message, value or state, each with a class of its values that is not a Value: a
    value of it may have any contents, which then cannot be read again."""
    for field in msgspec.structs.fields(cls):
        for part in _parts(inspect.type_info(field.type)):
            match part:
                case (
                    inspect.StructType(cls=found)
                    | inspect.DataclassType(cls=found)
                    | inspect.NamedTupleType(cls=found)
                    | inspect.CustomType(cls=found)
                ):
                    if not isinstance(found, Checked):
                        yield field.name, found


def _holds_times(info: inspect.Type) -> bool:
    return any(isinstance(each, inspect.DateTimeType) for each in _parts(info))


def _parts(info: inspect.Type) -> Iterator[inspect.Type]:
    """A type and those within it, but not within a class."""
    yield info
    match info:
        case inspect.UnionType(types=inner) | inspect.TupleType(item_types=inner):
            parts = tuple(inner)
        case inspect.DictType(key_type=key, value_type=value):
            parts = (key, value)
        case inspect.CollectionType(item_type=item):
            parts = (item,)
        case inspect.TypedDictType(fields=fields):
            parts = tuple(each.type for each in fields)
        case _:
            parts = ()
    for each in parts:
        yield from _parts(each)


def _refuse_naive(cls: Checked, index: int, value: Any) -> None:
    """Raises InvalidMessage for a time without a zone: its reader would have to guess one."""
    match value:
        case datetime(tzinfo=None):
            raise InvalidMessage(
                f"{cls.__name__}.{cls.__struct_fields__[index]} is {value.isoformat()}, a time"
                " without a time zone. Use django.utils.timezone.now(), or name the zone."
            )
        case tuple() | list() | set() | frozenset():
            for each in value:
                _refuse_naive(cls, index, each)
        case dict():
            for each in (*value, *value.values()):
                _refuse_naive(cls, index, each)


class Value(msgspec.Struct, frozen=True, gc=False, metaclass=Checked):
    """A part of a message or of a state: immutable, compared by its fields."""

    def validate(self) -> None:
        """Raise InvalidMessage for invalid values.

        Not called for stored messages: a new rule must not make old events unreadable.
        """


class State(msgspec.Struct, frozen=True, gc=False):
    """The state that an aggregate or a saga folds its events to. Created only by its own functions,
    so unchecked."""


class Command(Value, frozen=True):
    """A request to do something. Exactly one decider decides it."""


class Event(Value, frozen=True):
    """A domain event: a recorded fact. Stored for ever under its stored name."""


class IntegrationEvent(Value, frozen=True):
    """An event published to other systems: a contract of its own, separate from the domain
    events."""


class EventNotification(IntegrationEvent, frozen=True):
    """Tells only the id of what has changed; a receiver queries the rest (Fowler, Event
    Notification)."""


class StateTransfer(IntegrationEvent, frozen=True):
    """Carries the whole state, so that a receiver need not query it (Fowler, Event-Carried State
    Transfer)."""


class Announced(Event, frozen=True):
    """Another context's event as this context reads it: a class of its own with only the fields
    that it needs."""


class CommandRefused(Event, frozen=True):
    """Sent to the saga that enqueued a command: the decider rejected it. In the outbox, not in the
    log."""

    key: str
    command: str
    code: str
    detail: str


class DeadlinePassed(Event, frozen=True):
    """Sent to a saga whose step took too long. In the outbox, not in the log.

    set_at: position of the message to which the saga reacted with this deadline; a later reaction
    cancels it.
    """

    key: str
    due_at: datetime
    set_at: int


class Intervened(Event, frozen=True):
    """Sent to a saga by an operator. action: retry, compensate or skip the current step. In the
    outbox, not in the log.

    seen_at: position of the message that brought the saga to the step that the operator saw; at any
    other step the action has no effect.
    """

    key: str
    action: str
    reason: str
    who: str
    seen_at: int = 0  # in messages from before this field


class BrokerMessage(Event, frozen=True):
    """A message of a broker, byte for byte, for one consumer. In the outbox, not in the log.

    topic: on RabbitMQ the routing key. partition, offset: its place on Kafka; -1 on RabbitMQ.
    headers: pairs of name and value. properties: the AMQP properties, as JSON.
    """

    broker: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    partition: int = -1
    offset: int = -1
    properties: bytes = b""


class Metadata(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a message comes from; passed on to every message that it causes.

    correlation_id: the same from a request to its last effect. causation_id: the event that led to
    this one; None for the request of a person or client.
    """

    correlation_id: UUID
    causation_id: UUID | None = None
    actor: str = ""
    trace: str = ""
    command: str = ""
    reply_to: str = ""
    reply_key: str = ""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A recorded event, or an outgoing message for one subscription, as it is read from the
    database.

    position: place in the global order. stream: the stream of an event, or the key of an outgoing
    message. version: the event's version in its stream, from 1; 0 for an outgoing message. body:
    the message, an instance of its current class; in the outbox, the error of decoding it.
    """

    position: int
    id: UUID
    stream: str
    version: int
    type: str
    body: Any
    metadata: Metadata
    recorded_at: datetime

    @property
    def category(self) -> str:
        return self.stream.partition("-")[0]


INTERNAL: Mapping[str, type[Event]] = {
    "eventstore.command_refused": CommandRefused,
    "eventstore.deadline_passed": DeadlinePassed,
    "eventstore.intervened": Intervened,
    "eventstore.broker_message": BrokerMessage,
}
