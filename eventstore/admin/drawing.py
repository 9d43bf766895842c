"""A business transaction as a picture: a lane for each context, events from left to right, a line to each effect."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from eventstore.models import Event

from . import links, shown

# More would be no picture any more; the list has them all.
MOST = 60

MARGIN, COLUMN, LANE, TOP = 110, 96, 84, 34


class Node(NamedTuple):
    """x, y: its middle. words: its name, one under the other. late: since the first of all, for people."""

    event: Event
    x: int
    y: int
    words: Sequence[str]
    late: str
    address: str

    @property
    def below(self) -> int:
        """Where its words begin."""
        return self.y + 10


class Lane(NamedTuple):
    name: str
    y: int


class Picture(NamedTuple):
    """lines: from a cause to its effect, as the path of an SVG. is_cut: there are more events than are drawn."""

    width: int
    height: int
    lanes: Sequence[Lane]
    nodes: Sequence[Node]
    lines: Sequence[str]
    is_cut: bool


def picture(events: Sequence[Event]) -> Picture:
    """events: in the order of the log."""
    drawn = events[:MOST]
    lanes = _lanes(drawn)
    nodes = [_node(number, event, drawn[0], lanes) for number, event in enumerate(drawn)]
    return Picture(
        width=MARGIN + COLUMN * len(nodes),
        height=TOP + LANE * len(lanes),
        lanes=list(lanes.values()),
        nodes=nodes,
        lines=_lines(nodes),
        is_cut=len(events) > MOST,
    )


def _lanes(events: Sequence[Event]) -> dict[str, Lane]:
    """In the order in which they come in."""
    names = dict.fromkeys(_context(event) for event in events)
    return {name: Lane(name, TOP + LANE * number + LANE // 3) for number, name in enumerate(names)}


def _node(number: int, event: Event, first: Event, lanes: dict[str, Lane]) -> Node:
    return Node(
        event=event,
        x=MARGIN + COLUMN * number + COLUMN // 2,
        y=lanes[_context(event)].y,
        words=event.type.partition(".")[2].split("_"),
        late=_late(event.recorded_at - first.recorded_at),
        address=links.page("event", event.position),
    )


def _lines(nodes: Sequence[Node]) -> list[str]:
    by_id: dict[UUID, Node] = {node.event.id: node for node in nodes}
    causes = ((by_id.get(node.event.causation_id), node) for node in nodes if node.event.causation_id)
    return [_line(cause, effect) for cause, effect in causes if cause]


def _line(cause: Node, effect: Node) -> str:
    """Level at both ends, so that it is seen where it comes from."""
    middle = (cause.x + effect.x) // 2
    return f"M{cause.x + 9},{cause.y} C{middle},{cause.y} {middle},{effect.y} {effect.x - 12},{effect.y}"


def _context(event: Event) -> str:
    return event.type.partition(".")[0]


def _late(since: timedelta) -> str:
    seconds = max(0.0, since.total_seconds())
    return f"+{seconds * 1000:.0f} ms" if seconds < 1 else f"+{shown.age(seconds)}"
