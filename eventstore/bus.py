"""Commands in: find the one decider, load, decide, append; begin again when another writer was first."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from django.db import transaction

from . import context, nudge, registry, store
from .deciding import Deciding, Request
from .messages import Command, Event, Metadata, replace
from .store import Appended, Owed, WrongExpectedVersion

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ATTEMPTS = 5


class Outcome(NamedTuple):
    """stream: the command's own. version: where it stands now. position: of the last event in the log, 0 if none."""

    stream: str
    version: int
    position: int
    events: Sequence[Event]


def dispatch(command: Command, *, metadata: Metadata | None = None) -> Outcome:
    """Decide one command.

    Raises the decider's Refusal, registry.UnknownCommand, and WrongExpectedVersion after ATTEMPTS lost races.
    """
    request = Request(command, _commanded(command, metadata or context.current()))
    outcome = _again_on_conflict(lambda: _decide_one(request))
    logger.info("%s made %s version %s", request.metadata.command, outcome.stream, outcome.version)
    return outcome


def dispatch_all(commands: Iterable[Command], *, metadata: Metadata | None = None) -> Appended:
    """Decide several commands in order, recorded all or none. The first Refusal refuses all."""
    metadata = metadata or context.current()
    return dispatch_requests([Request(command, metadata) for command in commands])


def dispatch_requests(requests: Iterable[Request], *, owing: Iterable[Request] = ()) -> Appended:
    """As dispatch_all, for commands of several business transactions. owing: put into the outbox by the same append."""
    decided = [Request(command, _commanded(command, metadata)) for command, metadata in requests]
    owed = [store.owed(command, metadata=metadata) for command, metadata in owing]
    return _again_on_conflict(lambda: _decide_all(decided, owed))


def owe(commands: Iterable[Command], *, metadata: Metadata | None = None) -> None:
    """Put commands into the outbox; a worker decides them in their context's lane."""
    metadata = metadata or context.current()
    store.write([], [store.owed(command, metadata=metadata) for command in commands])
    transaction.on_commit(nudge.send)


def _decide_one(request: Request) -> Outcome:
    deciding = Deciding([request])
    stream = deciding.decisions[0].streams(request.command)[0]
    events = deciding.decide(0)
    appended = deciding.write()
    return Outcome(stream, deciding.folded[stream].version, appended.position, events)


def _decide_all(requests: Sequence[Request], owed: Sequence[Owed]) -> Appended:
    deciding = Deciding(requests)
    deciding.owed += owed
    for index in range(len(requests)):
        deciding.decide(index)
    return deciding.write()


def _again_on_conflict(attempt: Callable[[], Result]) -> Result:
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except WrongExpectedVersion as error:
            # Inside somebody's transaction the error has broken it: only its owner can begin again.
            if transaction.get_connection().in_atomic_block:
                raise
            logger.info("begin again: %s", error)
    return attempt()


def _commanded(command: Command, metadata: Metadata) -> Metadata:
    return replace(metadata, command=registry.name_of(command))
