"""Commands in: find the one decider, load, decide, append; begin again when another writer was
first."""

import logging
import random
import time
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple, TypeVar

from django.db import OperationalError, transaction

from eventstore import log, postgres, registry
from eventstore.aggregate import CommandRejected
from eventstore.log import Appended, OutgoingMessage, WrongExpectedVersion, context, epochs
from eventstore.messages import Command, Event, Metadata, replace
from eventstore.outbox import wakeup

from . import repository as states
from .decide import DecisionBatch, Request, Write

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ATTEMPTS = 5
# At most this long before the second attempt, doubled for each later one; those who met once come
# back apart.
PAUSE_SECONDS = 0.005


class Outcome(NamedTuple):
    """stream: the command's own. version: where it stands now. events: what was recorded.

    position: of the last of them in the log; of the stream's last event, where the command is a
    repeat and nothing was recorded: that is what the answer rests on. 0 for a stream without
    events.
    """

    stream: str
    version: int
    position: int
    events: Sequence[Event]


class Stale(Exception):
    """The caller decided on a version of the command's own stream that is not the present one.
    actual: which is; 0 for no stream."""

    def __init__(self, stream: str, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}.")
        self.stream, self.actual = stream, actual


def dispatch(
    command: Command,
    *,
    metadata: Metadata | None = None,
    seen: Container[int] | None = None,
    writes: Callable[[Outcome], Write] | None = None,
) -> Outcome:
    """Decide one command.

    seen: the versions of the command's own stream on which the caller decided; the version that is
    appended to is one of them. writes: what is to come of it, its position not known yet unless it
    is a repeat -> how to write that, such as with an answer.
    Raises the decider's Refusal, Stale, registry.UnknownCommand, and after ATTEMPTS lost races
    WrongExpectedVersion, or the database's own error for a deadlock or a lock that was not to be
    had. Any other error leaves it open whether the command was recorded.
    """
    request = Request(command, _commanded(command, metadata or context.current()))
    outcome = _again_on_conflict(
        lambda: _from_memory(request, seen, writes) or _decide_one(request, seen, writes)
    )
    logger.info("%s made %s version %s", request.metadata.command, outcome.stream, outcome.version)
    return outcome


def dispatch_all(commands: Iterable[Command], *, metadata: Metadata | None = None) -> Appended:
    """Decide several commands in order, recorded all or none. The first Refusal refuses all."""
    metadata = metadata or context.current()
    return dispatch_requests([Request(command, metadata) for command in commands])


def dispatch_requests(requests: Iterable[Request], *, owing: Iterable[Request] = ()) -> Appended:
    """As dispatch_all, for commands of several business transactions. owing: put into the outbox by
    the same append."""
    decided = [Request(command, _commanded(command, metadata)) for command, metadata in requests]
    outgoing = [log.outgoing(command, metadata=metadata) for command, metadata in owing]
    return _again_on_conflict(lambda: _decide_all(decided, outgoing))


def enqueue(commands: Iterable[Command], *, metadata: Metadata | None = None) -> None:
    """Put commands into the outbox; a worker decides them in their context's subscription."""
    metadata = metadata or context.current()
    log.write([], [log.outgoing(command, metadata=metadata) for command in commands])
    transaction.on_commit(wakeup.wake_workers)


def _from_memory(
    request: Request, seen: Container[int] | None, writes: Callable[[Outcome], Write] | None
) -> Outcome | None:
    """Decide without a look into the log, which the append has. None where memory does not do, or
    is too old to refuse anything."""
    decision = registry.decision_for(request.command)
    # Within somebody's transaction, an append that fails would break it.
    if not decision.creates_stream or seen is not None or postgres.in_transaction():
        return None
    own, *others = decision.streams(request.command)
    epoch = epochs.mark()
    from_cache = states.recall([own, *others], opened=own)
    if from_cache is None:
        return None
    try:
        return _decided(DecisionBatch([request], from_cache, epoch=epoch), own, writes)
    except WrongExpectedVersion as error:
        if error.actual < error.expected:
            epochs.went_back(error.stream, remembered=error.expected)
        return None
    except (CommandRejected, epochs.EpochOver):
        return None


def _decide_one(
    request: Request, seen: Container[int] | None, writes: Callable[[Outcome], Write] | None
) -> Outcome:
    deciding = DecisionBatch([request])
    stream = deciding.decisions[0].streams(request.command)[0]
    if seen is not None and deciding.folded[stream].version not in seen:
        raise Stale(stream, deciding.folded[stream].version)
    return _decided(deciding, stream, writes)


def _decided(
    deciding: DecisionBatch, stream: str, writes: Callable[[Outcome], Write] | None
) -> Outcome:
    events = deciding.decide(0)
    outcome = Outcome(stream, deciding.folded[stream].version, 0, events)
    if not events:
        outcome = outcome._replace(position=_stands_at(outcome))
    appended = deciding.write(writes(outcome) if writes else log.write)
    return outcome._replace(position=appended.position) if events else outcome


def _stands_at(outcome: Outcome) -> int:
    """One more statement, for repeats alone."""
    return log.positions_at({outcome.stream: outcome.version}).get(outcome.stream, 0)


def _decide_all(requests: Sequence[Request], outgoing: Sequence[OutgoingMessage]) -> Appended:
    deciding = DecisionBatch(requests)
    deciding.outgoing += outgoing
    for index in range(len(requests)):
        deciding.decide(index)
    return deciding.write()


def _again_on_conflict(attempt: Callable[[], Result]) -> Result:
    for attempts in range(1, ATTEMPTS):
        try:
            return attempt()
        except (WrongExpectedVersion, OperationalError) as error:
            # Inside somebody's transaction the error has broken it: only its owner can begin again.
            if postgres.in_transaction() or not _was_only_a_race(error):
                raise
            logger.info("begin again: %s", error)
        time.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempts))
    return attempt()


def _was_only_a_race(error: Exception) -> bool:
    return isinstance(error, WrongExpectedVersion | epochs.EpochOver) or postgres.was_rolled_back(
        error
    )


def _commanded(command: Command, metadata: Metadata) -> Metadata:
    return replace(metadata, command=registry.name_of(command))
