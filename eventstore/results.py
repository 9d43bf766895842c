"""What the functions of a wiring may return. Each result is checked before anything is written, and
the error names the function."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from eventstore.messages import Command, DeadlinePassed, Event, IntegrationEvent, State
from eventstore.subscriptions import Deleted, Reaction, Row, Saga

T = TypeVar("T")

Function = Callable[..., Any]


class InvalidResult(TypeError):
    """A function returned something that the event store cannot use; the text names the function,
    what it returned, and what it has to return."""


def name_of(function: Any) -> str:
    """The function as its author knows it: module and name."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', '')}.{name}".lstrip(".")


def events(function: Function, found: Any) -> Sequence[Event]:
    """Of a decider."""
    return _all(Event, function, found, "events")


def integration_events(function: Function, found: Any) -> Sequence[IntegrationEvent]:
    """Of a publication."""
    return _all(IntegrationEvent, function, found, "integration events")


def commands(function: Function, found: Any) -> Sequence[Command]:
    """Of a consumer's handler. None for none: a handler may only write rows."""
    return () if found is None else _all(Command, function, found, "commands")


def command(function: Function, found: Any) -> Command:
    """Of an effect."""
    if isinstance(found, Command):
        return found
    raise _invalid(function, found, "Return the command that records the result")


def command_or_none(function: Function, found: Any) -> Command | None:
    """Of an effect's look-up."""
    if found is None or isinstance(found, Command):
        return found
    raise _invalid(function, found, "Return the command that records the result, or None")


def checked_key(function: Function) -> Callable[[Any], str]:
    """The function that gives a projection's row or a saga's process, with its result checked."""

    def key(event: Any) -> str:
        found = function(event)
        if not isinstance(found, str):
            raise _invalid(
                function, found, f"Return the key for {type(event).__name__}, which is a text"
            )
        return found

    return key


def state(function: Function, found: Any) -> Any:
    """Of a function that folds an event into the state of an aggregate."""
    if isinstance(found, State):
        return found
    raise _invalid(function, found, "Return the state after the event")


def events_by_stream(
    function: Function, found: Any, streams: Iterable[str]
) -> Mapping[str, Sequence[Event]]:
    """Of a decision over several streams."""
    if not isinstance(found, Mapping):
        raise _invalid(function, found, "Return a dict: stream -> list of events")
    if unknown := [each for each in found if each not in tuple(streams)]:
        raise InvalidResult(
            f"{name_of(function)} returned events for {', '.join(map(repr, unknown))}, which its"
            " `streams` does not name. Add the stream there: it has to be loaded first."
        )
    for each in found.values():
        events(function, each)
    return found


def reaction(function: Function, found: Any, saga: Saga) -> Reaction:
    """Of a saga. Its state has to be of the class of the initial one, as which it is read again."""
    initial = saga.initial
    if not isinstance(found, Reaction):
        raise _invalid(function, found, "Return Reaction(state, [commands], deadline)")
    after, sent, deadline = found
    if type(after) is not type(initial):
        what = f"a Reaction with the state {_described(after)}"
        raise _invalid(
            function, found, f"Its state has to be a {type(initial).__name__}", what=what
        )
    _all(Command, function, sent, "commands", of="a Reaction with the commands ")
    if deadline is not None and not isinstance(deadline, timedelta):
        what = f"a Reaction with the deadline {deadline!r}"
        raise _invalid(
            function, found, "Use a datetime.timedelta, or None for no deadline", what=what
        )
    if deadline is not None and DeadlinePassed not in saga.react:
        mend = "Add a function for DeadlinePassed to `react` of the saga"
        raise _invalid(function, found, mend, what="a Reaction with a deadline that nothing hears")
    return found


def row(function: Function, found: Any, before: Row) -> Row | None:
    """Of a projection. None for a row that ends. before: what the function was given."""
    if isinstance(found, Deleted):
        return None
    if not isinstance(found, Mapping):
        raise _invalid(
            function, found, "Return the row: row | {…}. To delete it, return subscriptions.DELETED"
        )
    # Names are compared only where their number differs, because this runs for each event.
    if len(found) != len(before):
        columns = ", ".join(sorted(map(str, found.keys() ^ before.keys())))
        verb = "adds" if len(found) > len(before) else "lacks"
        raise InvalidResult(
            f"{name_of(function)} returned a row that {verb} {columns}. Return row | {{…}} with"
            f" columns of the read model: {', '.join(sorted(before))}."
        )
    return found  # type: ignore[return-value]


def _all(cls: type[T], function: Function, found: Any, what: str, *, of: str = "") -> Sequence[T]:
    if not isinstance(found, list | tuple):
        raise _invalid(
            function,
            found,
            f"Return a list of {what}, [] for none",
            what=of and of + _described(found),
        )
    for each in found:
        if not isinstance(each, cls):
            described = f"{of or 'a list with '}{_described(each)}"
            raise _invalid(function, found, f"Return a list of {what} alone", what=described)
    return found


def _invalid(function: Function, found: Any, mend: str, *, what: str = "") -> InvalidResult:
    return InvalidResult(f"{name_of(function)} returned {what or _described(found)}. {mend}.")


def _described(found: Any) -> str:
    """Without the contents of a message, which may be personal."""
    if found is None:
        return "None"
    if isinstance(found, type):
        return f"the class {found.__name__}"
    return f"a value of the type {type(found).__name__}"
