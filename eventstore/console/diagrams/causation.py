"""The events of one correlation: a list in order, indented by cause, and a diagram."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from eventstore.console.diagrams import correlation as causation_diagram
from eventstore.models import Event

LONGEST = 500
# The style sheet has as many levels of indentation.
DEEPEST = 12


class Step(NamedTuple):
    event: Event
    depth: int


class Correlation(NamedTuple):
    """steps: the first LONGEST events. is_cut: there are more."""

    id: UUID
    steps: Sequence[Step]
    is_cut: bool

    @property
    def picture(self) -> causation_diagram.Picture:
        return causation_diagram.picture([step.event for step in self.steps])


def correlation(correlation_id: UUID) -> Correlation:
    found = list(
        Event.objects.filter(correlation_id=correlation_id)
        .order_by("position")
        .defer("data", "metadata")[: LONGEST + 1]
    )
    return Correlation(correlation_id, steps(found[:LONGEST]), len(found) > LONGEST)


def steps(events: Sequence[Event]) -> list[Step]:
    """In the log a cause comes before its effects. An event with a cause outside of `events` has
    depth 0."""
    depths: dict[UUID, int] = {}
    for event in events:
        cause = event.causation_id
        depths[event.id] = min(depths[cause] + 1, DEEPEST) if cause in depths else 0
    return [Step(event, depths[event.id]) for event in events]
