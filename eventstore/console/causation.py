"""A business transaction as a list in order, each event set in under what led to it; and as a
picture."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from eventstore.models import Event

from . import causation_diagram as drawing

LONGEST = 500
# The style sheet has as many steps.
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
    def picture(self) -> drawing.Picture:
        return drawing.picture([step.event for step in self.steps])


def correlation(correlation_id: UUID) -> Correlation:
    found = list(
        Event.objects.filter(correlation_id=correlation_id)
        .order_by("position")
        .defer("data", "metadata")[: LONGEST + 1]
    )
    return Correlation(correlation_id, steps(found[:LONGEST]), len(found) > LONGEST)


def steps(events: Sequence[Event]) -> list[Step]:
    """A cause always comes before its effects in the log; one that is not among the events begins
    anew at the left."""
    depths: dict[UUID, int] = {}
    for event in events:
        cause = event.causation_id
        depths[event.id] = min(depths[cause] + 1, DEEPEST) if cause in depths else 0
    return [Step(event, depths[event.id]) for event in events]
