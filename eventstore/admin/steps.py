"""A saga as a picture: the states that it came through, what led to each, and what it asked for then.

Told from the log: its reactions are pure, so playing its events to it again does nothing. What is not in the log (a
deadline, a refusal, a person's word) is missing there; where it stands now is always the last.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from eventstore import registry, sagas, store
from eventstore.messages import Message
from eventstore.models import SagaState
from eventstore.subscriptions import Saga

from . import links

# Of one business transaction; a saga of more events than that is told by the list.
MOST_EVENTS = 300

WIDTH, GAP = 190, 40


class Step(NamedTuple):
    """cause: the stored name of what led to it. asked: the stored names of the commands that it then owed."""

    status: str
    cause: str
    asked: Sequence[str]
    address: str
    x: int
    is_now: bool

    @property
    def middle(self) -> int:
        return self.x + WIDTH // 2


class Picture(NamedTuple):
    width: int
    steps: Sequence[Step]


def picture(found: SagaState) -> Picture:
    steps = [*_told(found)]
    if not steps or steps[-1].status != found.status:
        steps.append(Step(found.status, "not told by the log", (), "", 0, False))
    placed = [
        step._replace(x=number * (WIDTH + GAP) + 2, is_now=number == len(steps) - 1)
        for number, step in enumerate(steps)
    ]
    return Picture(len(placed) * (WIDTH + GAP), placed)


def _told(found: SagaState) -> Iterable[Step]:
    saga = registry.subscriptions().get(found.saga)
    if not isinstance(saga, Saga):
        return
    state, status = saga.initial, None
    for message in _heard(found, saga):
        reaction = saga.react[type(message.body)](state, message.body)
        state = reaction.state
        now = getattr(state, "status", "")
        if now != status or reaction.commands:
            asked = [registry.name_of(command) for command in reaction.commands]
            yield Step(now, message.type, asked, links.page("event", message.position), 0, False)
        status = now


def _heard(found: SagaState, saga: Saga) -> Iterable[Message]:
    for number, message in enumerate(store.read_correlated(found.correlation_id)):
        if number == MOST_EVENTS or message.position > found.position:
            return
        if type(message.body) in saga.react and sagas.key_of(saga, message) == found.key:
            yield message
