"""A business transaction as a picture: a lane for each context, events from left to right, a line
to each effect.

An axis above says when. Milliseconds and days have to fit into one picture, so a distance does not
grow with the time between two neighbours but with its logarithm: of two distances the wider one is
always the longer time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from math import log10
from typing import NamedTuple
from uuid import UUID

from eventstore.models import Event

from . import formatting, links

# More would be no picture any more; the list has them all.
MOST = 60

# COLUMN: from one event to the next of the same millisecond, as wide as their words want it.
MARGIN, COLUMN, LANE, TOP = 90, 76, 84, 40
# And as much more with each tenfold of the milliseconds between them.
TENFOLD = 24

MILLISECOND = timedelta(milliseconds=1)


class Node(NamedTuple):
    """x, y: its middle. words: its name, one under the other. late: since the first of all, for
    people.

    after: since its neighbour, for who is told and not shown; empty for the first.
    """

    event: Event
    x: int
    y: int
    words: Sequence[str]
    late: str
    after: str
    address: str

    @property
    def below(self) -> int:
        """Where its words begin."""
        return self.y + 10

    @property
    def above(self) -> int:
        """Where the line down from the axis ends."""
        return self.y - 10


class Lane(NamedTuple):
    name: str
    y: int


class Picture(NamedTuple):
    """lines: from a cause to its effect, as the path of an SVG. is_cut: there are more events than
    are drawn."""

    width: int
    height: int
    lanes: Sequence[Lane]
    nodes: Sequence[Node]
    lines: Sequence[str]
    is_cut: bool


def picture(events: Sequence[Event]) -> Picture:
    """events: in the order of the log."""
    drawn = events[:MOST]
    lanes, places = _lanes(drawn), _places([event.recorded_at for event in drawn])
    nodes = [_node(number, drawn, places[number], lanes) for number in range(len(drawn))]
    return Picture(
        width=places[-1] + COLUMN // 2,
        height=TOP + LANE * len(lanes),
        lanes=list(lanes.values()),
        nodes=nodes,
        lines=_lines(nodes),
        is_cut=len(events) > MOST,
    )


def _places(times: Sequence[datetime]) -> list[int]:
    return list(
        accumulate(
            (_distance(before, at) for before, at in pairwise(times)), initial=MARGIN + COLUMN // 2
        )
    )


def _distance(before: datetime, at: datetime) -> int:
    return COLUMN + round(TENFOLD * log10(1 + _between(before, at) / MILLISECOND))


def _lanes(events: Sequence[Event]) -> dict[str, Lane]:
    """In the order in which they come in."""
    names = dict.fromkeys(_context(event) for event in events)
    return {name: Lane(name, TOP + LANE * number + LANE // 3) for number, name in enumerate(names)}


def _node(number: int, events: Sequence[Event], x: int, lanes: dict[str, Lane]) -> Node:
    event = events[number]
    return Node(
        event=event,
        x=x,
        y=lanes[_context(event)].y,
        words=event.type.partition(".")[2].split("_"),
        late=f"+{_time(_between(events[0].recorded_at, event.recorded_at))}",
        after=_time(_between(events[number - 1].recorded_at, event.recorded_at)) if number else "",
        address=links.page("event", event.position),
    )


def _lines(nodes: Sequence[Node]) -> list[str]:
    by_id: dict[UUID, Node] = {node.event.id: node for node in nodes}
    causes = (
        (by_id.get(node.event.causation_id), node) for node in nodes if node.event.causation_id
    )
    return [_line(cause, effect) for cause, effect in causes if cause]


def _line(cause: Node, effect: Node) -> str:
    """Level at both ends, so that it is seen where it comes from."""
    middle = (cause.x + effect.x) // 2
    return (
        f"M{cause.x + 9},{cause.y} C{middle},{cause.y} {middle},{effect.y}"
        f" {effect.x - 12},{effect.y}"
    )


def _context(event: Event) -> str:
    return event.type.partition(".")[0]


def _between(before: datetime, at: datetime) -> timedelta:
    """Clocks are put right now and then, and the log is in the order of its positions."""
    return max(timedelta(), at - before)


def _time(between: timedelta) -> str:
    seconds = between.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else formatting.age(seconds)
