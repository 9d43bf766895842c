"""A diagram of a saga: its states in order, the message that led to each, and the commands that it
then sent.

It comes from the log: a saga's reactions are pure, so replaying its events has no effect. What is
not in the log (a deadline, a rejected command, an intervention) is missing. The last state is
always the present one.
"""

from collections.abc import Iterable, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from eventstore import log, registry, sagas
from eventstore.console import links
from eventstore.models import SagaState
from eventstore.subscriptions import Saga

# Events of the correlation that are read; the list on the page has more.
MOST_EVENTS = 300

# Of a box in pixels, and boxes in a row: the last one has to be visible without scrolling sideways.
WIDTH, HEIGHT, GAP, IN_A_ROW = 180, 92, 40, 4


class Step(NamedTuple):
    """cause: stored name of the message that led to it. commands: stored names of the commands that
    it sent.

    x, y: upper left corner. arrow: from the step before, as the path of an SVG; "" for the first.
    """

    status: str
    cause: str
    commands: Sequence[str]
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
        """The y of its lines of text: status, cause, commands, deadline."""
        return [self.y + offset for offset in (20, 36, 52, 84)]


class Picture(NamedTuple):
    width: int
    height: int
    steps: Sequence[Step]


def picture(found: SagaState) -> Picture:
    steps = [*_replay(found)]
    if not steps or steps[-1].status != found.status:
        steps.append(Step(found.status, "not in the log", (), ""))
    last = len(steps) - 1
    placed = []
    for number, step in enumerate(steps):
        (x, y), arrow = _corner(number), ""
        if number % IN_A_ROW:
            arrow = f"M{x - GAP},{y + HEIGHT // 2} h{GAP - 4}"
        elif number:
            # From the end of a row down and back to the start of the next.
            end_x, end_y = _corner(number - 1)
            arrow = (
                f"M{end_x + WIDTH // 2},{end_y + HEIGHT} v{GAP // 2} H{x + WIDTH // 2}"
                f" v{GAP // 2 - 4}"
            )
        placed.append(step._replace(x=x, y=y, arrow=arrow, is_now=number == last))
    return Picture(
        width=min(len(steps), IN_A_ROW) * (WIDTH + GAP),
        height=(last // IN_A_ROW + 1) * (HEIGHT + GAP) - GAP + 4,
        steps=placed,
    )


def _replay(found: SagaState) -> Iterable[Step]:
    saga = registry.subscriptions().get(found.saga)
    if not isinstance(saga, Saga):
        return
    state, status = saga.initial, None
    correlated = islice(log.read_correlated(found.correlation_id), MOST_EVENTS)
    for message in takewhile(lambda each: each.position <= found.position, correlated):
        if type(message.body) not in saga.react or sagas.key_of(saga, message) != found.key:
            continue
        reaction = saga.react[type(message.body)](state, message.body)
        state = reaction.state
        now = getattr(state, "status", "")
        if now != status or reaction.commands:
            commands = [registry.name_of_class(type(command)) for command in reaction.commands]
            yield Step(now, message.type, commands, links.page("event", message.position))
        status = now


def _corner(number: int) -> tuple[int, int]:
    row, column = divmod(number, IN_A_ROW)
    return column * (WIDTH + GAP) + 2, row * (HEIGHT + GAP) + 2
