"""The events of one correlation: a list in order, indented by cause, and a diagram."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from eventstore.console.diagrams import correlation as causation_diagram
from eventstore.console.diagrams import hops
from eventstore.console.diagrams.hops import Hop
from eventstore.models import Event

LONGEST = 500
# The style sheet has as many levels of indentation.
DEEPEST = 12


class Step(NamedTuple):
    """hop: its way out to brokers, and back from one."""

    event: Event
    depth: int
    hop: Hop = Hop()


class Correlation(NamedTuple):
    """steps: the first LONGEST events. is_cut: there are more."""

    id: UUID
    steps: Sequence[Step]
    is_cut: bool

    @property
    def picture(self) -> causation_diagram.Picture:
        by_broker = {step.event.id: step.hop for step in self.steps if step.hop.consumer}
        return causation_diagram.picture([step.event for step in self.steps], by_broker)

    @property
    def has_hops(self) -> bool:
        return any(step.hop != Hop() for step in self.steps)


def correlation(correlation_id: UUID) -> Correlation:
    found = list(
        Event.objects.filter(correlation_id=correlation_id)
        .order_by("position")
        .defer("data", "metadata")[: LONGEST + 1]
    )
    return Correlation(correlation_id, steps(found[:LONGEST]), len(found) > LONGEST)


def steps(events: Sequence[Event]) -> list[Step]:
    """In the log a cause comes before its effects. An event with a cause outside of `events` has
    depth 0; one that came back from a broker is the effect of the event that was published."""
    depths: dict[UUID, int] = {}
    by_broker = hops.hops(events)
    for event in events:
        cause = by_broker.get(event.id, Hop()).cause or event.causation_id
        depths[event.id] = min(depths[cause] + 1, DEEPEST) if cause in depths else 0
    return [Step(each, depths[each.id], by_broker.get(each.id, Hop())) for each in events]
