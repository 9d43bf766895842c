"""A saga as a picture: the states that it came through, what led to each, and what it asked for
then.

Told from the log: its reactions are pure, so playing its events to it again does nothing. What is
not in the log (a deadline, a refusal, a person's word) is missing there; where it stands now is
always the last.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from eventstore import log, registry, sagas
from eventstore.messages import Message
from eventstore.models import SagaState
from eventstore.subscriptions import Saga

from . import links

# Of one business transaction; a saga of more events than that is told by the list.
MOST_EVENTS = 300

# Of a box; and how many stand side by side, so that the last one is never out of sight.
WIDTH, HEIGHT, GAP, IN_A_ROW = 180, 92, 40, 4


class Step(NamedTuple):
    """cause: the stored name of what led to it. asked: the stored names of the commands that it
    then owed.

    x, y: its upper left corner. arrow: from the one before, as the path of an SVG; empty for the
    first.
    """

    status: str
    cause: str
    asked: Sequence[str]
    address: str
    x: int = 0
    y: int = 0
    arrow: str = ""
    is_now: bool = False

    @property
    def middle(self) -> int:
        return self.x + WIDTH // 2

    @property
    def lines(self) -> Sequence[int]:
        """Where its lines of text stand: status, cause, what it asked for, deadline."""
        return [self.y + offset for offset in (20, 36, 52, 84)]


class Picture(NamedTuple):
    width: int
    height: int
    steps: Sequence[Step]


def picture(found: SagaState) -> Picture:
    steps = [*_told(found)]
    if not steps or steps[-1].status != found.status:
        steps.append(Step(found.status, "not told by the log", (), ""))
    rows = (len(steps) - 1) // IN_A_ROW + 1
    return Picture(
        width=min(len(steps), IN_A_ROW) * (WIDTH + GAP),
        height=rows * (HEIGHT + GAP) - GAP + 4,
        steps=[
            _placed(step, number, is_now=number == len(steps) - 1)
            for number, step in enumerate(steps)
        ],
    )


def _placed(step: Step, number: int, *, is_now: bool) -> Step:
    x, y = _corner(number)
    return step._replace(x=x, y=y, arrow=_arrow(number) if number else "", is_now=is_now)


def _corner(number: int) -> tuple[int, int]:
    row, column = divmod(number, IN_A_ROW)
    return column * (WIDTH + GAP) + 2, row * (HEIGHT + GAP) + 2


def _arrow(number: int) -> str:
    """Straight on; at the end of a row down, and back to the beginning of the next."""
    (before_x, before_y), (x, y) = _corner(number - 1), _corner(number)
    if y == before_y:
        return f"M{x - GAP},{y + HEIGHT // 2} h{GAP - 4}"
    return (
        f"M{before_x + WIDTH // 2},{before_y + HEIGHT} v{GAP // 2} H{x + WIDTH // 2}"
        f" v{GAP // 2 - 4}"
    )


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
            yield Step(now, message.type, asked, links.page("event", message.position))
        status = now


def _heard(found: SagaState, saga: Saga) -> Iterable[Message]:
    for number, message in enumerate(log.read_correlated(found.correlation_id)):
        if number == MOST_EVENTS or message.position > found.position:
            return
        if type(message.body) in saga.react and sagas.key_of(saga, message) == found.key:
            yield message
