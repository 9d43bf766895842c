"""A diagram of one correlation: a lane for each context, events from left to right, a line from
each cause to its effect.

A time axis runs above. Milliseconds and days have to fit into one picture, so the distance between
two neighbours grows with the logarithm of the time between them: the wider one of two distances is
always the longer time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from math import log10
from typing import NamedTuple
from uuid import UUID

from eventstore.console import formatting, links
from eventstore.console.diagrams.hops import Hop
from eventstore.models import Event

# More would be unreadable; the list below the diagram has all events.
MOST = 60

# In pixels. COLUMN: between two events of the same millisecond, as wide as their names need.
MARGIN, COLUMN, LANE, TOP = 90, 76, 84, 40
# Added for each factor of ten in the milliseconds between two events.
TENFOLD = 24

MILLISECOND = timedelta(milliseconds=1)


class Node(NamedTuple):
    """An event. x, y: its centre. words: the parts of its name, one a line. late: time since the
    first event.

    after: time since the event before, for screen readers; "" for the first. consumer: by which the
    command came that led to it; "" for none.
    """

    event: Event
    x: int
    y: int
    words: Sequence[str]
    late: str
    after: str
    address: str
    consumer: str = ""

    @property
    def below(self) -> int:
        """The top of its name."""
        return self.y + 10

    @property
    def above(self) -> int:
        """The end of the line down from the axis."""
        return self.y - 10


class Lane(NamedTuple):
    name: str
    y: int


class Picture(NamedTuple):
    """lines: from each cause to its effect, as the path of an SVG. hops: the same, by way of a
    broker. is_cut: there are more events than the diagram shows."""

    width: int
    height: int
    lanes: Sequence[Lane]
    nodes: Sequence[Node]
    lines: Sequence[str]
    is_cut: bool
    hops: Sequence[str] = ()


def picture(events: Sequence[Event], by_broker: Mapping[UUID, Hop] = {}) -> Picture:
    """events: in the order of the log. by_broker: of those that a consumer has led to, by id."""
    drawn = events[:MOST]
    # Lanes in the order of their first event.
    names = dict.fromkeys(_context(event) for event in drawn)
    lanes = {name: Lane(name, TOP + LANE * number + LANE // 3) for number, name in enumerate(names)}
    distances = (
        COLUMN + round(TENFOLD * log10(1 + _between(before, at) / MILLISECOND))
        for before, at in pairwise(event.recorded_at for event in drawn)
    )
    columns = list(accumulate(distances, initial=MARGIN + COLUMN // 2))
    nodes = [
        Node(
            event=event,
            x=x,
            y=lanes[_context(event)].y,
            words=event.type.partition(".")[2].split("_"),
            late=f"+{_time(_between(drawn[0].recorded_at, event.recorded_at))}",
            after=_time(_between(before.recorded_at, event.recorded_at)) if before else "",
            address=links.page("event", event.position),
            consumer=by_broker[event.id].consumer if event.id in by_broker else "",
        )
        for event, before, x in zip(drawn, [None, *drawn], columns, strict=False)
    ]
    by_id: dict[UUID | None, Node] = {node.event.id: node for node in nodes}
    causes = ((by_id.get(node.event.causation_id), node) for node in nodes)
    return Picture(
        width=columns[-1] + COLUMN // 2,
        height=TOP + LANE * len(lanes),
        lanes=list(lanes.values()),
        nodes=nodes,
        lines=[_line(cause, effect) for cause, effect in causes if cause],
        is_cut=len(events) > MOST,
        hops=[
            _line(by_id[hop.cause], by_id[id_])
            for id_, hop in by_broker.items()
            if hop.cause in by_id and id_ in by_id
        ],
    )


def _line(cause: Node, effect: Node) -> str:
    """Level at both ends, so that its two events are easy to see."""
    middle = (cause.x + effect.x) // 2
    return (
        f"M{cause.x + 9},{cause.y} C{middle},{cause.y} {middle},{effect.y}"
        f" {effect.x - 12},{effect.y}"
    )


def _context(event: Event) -> str:
    return event.type.partition(".")[0]


def _between(before: datetime, at: datetime) -> timedelta:
    """Never negative: the log is in the order of positions, and clocks are sometimes set back."""
    return max(timedelta(), at - before)


def _time(between: timedelta) -> str:
    seconds = between.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else formatting.age(seconds)
