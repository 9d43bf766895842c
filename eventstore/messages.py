"""What is said: events (facts, past tense), commands (wishes, imperative), and the envelope each
travels in."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypedDict, dataclass_transform, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec.structs import astuple
from msgspec.structs import replace as replace  # the one way to change a frozen message or state

# Frozen and made of JSON's values, none of these can be part of a cycle: gc=False spares the
# collector from looking at them, and a page of the log from being looked at again and again while
# it is read.


class InvalidMessage(ValueError):
    """A message was made with a field of the wrong type or value; the sentence names both."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Checked(msgspec.StructMeta):
    """A message made by hand is checked: its types, which decoding a stored one checks anyway, and
    then its values."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        values = astuple(made)
        if not _is_plain(_shape(cls), values):
            _check_types(cls, values)
        made.validate()
        return made


class Shape(NamedTuple):
    """classes: of each field, the class that all its values have; None where a type says more than
    a class.

    rows: of a field that is any number of one class, its place and that class.
    """

    classes: tuple[type | None, ...]
    rows: tuple[tuple[int, frozenset[type]], ...]


@cache
def _shape(cls: type) -> Shape:
    types = [field.type for field in msgspec.structs.fields(cls)]
    rows = {
        place: frozenset(get_args(each)[:1]) for place, each in enumerate(types) if _is_row(each)
    }
    classes = [
        tuple if n in rows else each if isinstance(each, type) else None
        for n, each in enumerate(types)
    ]
    return Shape(tuple(classes), tuple(rows.items()))


def _is_row(type_: Any) -> bool:
    return (
        get_origin(type_) is tuple
        and get_args(type_)[1:] == (...,)
        and isinstance(get_args(type_)[0], type)
    )


def _is_plain(shape: Shape, values: tuple[Any, ...]) -> bool:
    """Whether each value has exactly its class: so nearly all messages have, and it is soon
    seen."""
    classes, rows = shape
    if tuple(map(type, values)) != classes:
        return False
    for place, of in rows:  # noqa: SIM110 - each message is asked, and a generator takes half as long again
        if not of.issuperset(map(type, values[place])):
            return False
    return True


def _check_types(cls: Checked, values: tuple[Any, ...]) -> None:
    """Look closely at the others, but for the fields that have exactly their class."""
    fields = zip(cls.__struct_fields__, _shape(cls).classes, values, strict=True)
    given = {
        name: value
        for name, its_class, value in fields
        if type(value) is not its_class or its_class is tuple
    }
    try:
        meant = msgspec.convert(given, _fields_of(cls))
    except msgspec.ValidationError as error:
        raise InvalidMessage(f"{cls.__name__}: {error}") from None
    if (
        meant != given
    ):  # a list for a tuple, a text for a time: as JSON has it, and as a message must not keep it
        names = ", ".join(name for name in given if meant[name] != given[name])
        raise InvalidMessage(f"{cls.__name__}: {names} would have to be converted first.")


@cache
def _fields_of(cls: type) -> Any:
    fields = {field.name: field.type for field in msgspec.structs.fields(cls)}
    return TypedDict(cls.__name__, fields, total=False)  # type: ignore[operator]


class Value(msgspec.Struct, frozen=True, gc=False, metaclass=Checked):
    """A part of a message or of a state: immutable, compared by its fields."""

    def validate(self) -> None:
        """Raise InvalidMessage for values that make no sense.

        Not asked of what is stored: a rule that is new today must not make yesterday's events
        unreadable.
        """


class State(msgspec.Struct, frozen=True, gc=False):
    """What an aggregate or a saga folds its events to. Made by our own functions only, so
    unchecked."""


class Command(Value, frozen=True):
    """What somebody wants done. Decided by exactly one decider."""


class Event(Value, frozen=True):
    """A domain event: what was decided. Kept for ever under its stored name."""


class IntegrationEvent(Value, frozen=True):
    """What others are told: a contract of its own, apart from the domain events that we decide and
    fold by."""


class EventNotification(IntegrationEvent, frozen=True):
    """Says that something changed, by its id alone; who cares asks for the rest (Fowler, Event
    Notification)."""


class StateTransfer(IntegrationEvent, frozen=True):
    """Carries the whole state, so that nobody has to ask back (Fowler, Event-Carried State
    Transfer)."""


class Announced(Event, frozen=True):
    """Another context's event as we read it: a class of our own that names what we need of it, and
    no more."""


class CommandRefused(Event, frozen=True):
    """Told to the saga that owed the command: a decider turned it down. Lives in the outbox, not in
    the log."""

    key: str
    command: str
    code: str
    detail: str


class DeadlinePassed(Event, frozen=True):
    """Told to a saga whose step did not answer in time. Lives in the outbox, not in the log.

    set_at: position of the message that the saga answered with this deadline; a later answer takes
    it back.
    """

    key: str
    due_at: datetime
    set_at: int


class Intervened(Event, frozen=True):
    """Told to a saga by a person. action: retry, compensate or skip the present step. Lives in the
    outbox.

    seen_at: position of the message that brought the saga to the step which the person saw; of
    another it is not meant.
    """

    key: str
    action: str
    reason: str
    who: str
    seen_at: int = 0  # of a word from before it was asked for


class Metadata(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a message comes from; carried along the whole chain.

    correlation_id: one business transaction, from the request to its last effect.
    causation_id: the event that led to this one; None for what a person or client asked for.
    """

    correlation_id: UUID
    causation_id: UUID | None = None
    actor: str = ""
    trace: str = ""
    command: str = ""
    reply_to: str = ""
    reply_key: str = ""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A recorded event, or a message owed to one subscription, as it is read back.

    position: place in the global order. stream: the stream of an event, or the key of an owed
    message. version: the event's version in its stream, from 1; 0 for what is owed. body: the
    message itself, made by today's class; in the outbox, the error that kept it from being read.
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
}
