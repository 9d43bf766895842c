"""How fast it went and how far it was behind, over the last hour and the last day: a table, drawn
by the browser."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.utils import timezone

from eventstore.operations import metrics
from eventstore.operations.metrics import Point

from . import formatting

DAY = timedelta(days=1)
# title, length of a step, how many of them
SPANS = (
    ("The last hour", timedelta(minutes=1), 60),
    ("The last day", timedelta(minutes=15), 96),
)
# What is older tells nothing of the present.
OF_LATE = timedelta(minutes=2)


class Chart(NamedTuple):
    """summary: what a person reads off it, for who does not see it."""

    title: str
    points: Sequence[Point]
    summary: str

    @property
    def is_empty(self) -> bool:
        return all(each.events is None for each in self.points)

    def with_names(self) -> dict[str, Any]:
        """As JSON has it."""
        return self._asdict() | {"points": [each._asdict() for each in self.points]}


class Trends(NamedTuple):
    """rate: positions a second of late; None when nobody has measured."""

    charts: Sequence[Chart]
    rate: float | None


def told(subscription: str = metrics.WHOLE) -> Trends:
    """Of all subscriptions together, or of one; one query."""
    found, now = metrics.since(DAY, subscription), timezone.now()
    charts = [
        _chart(title, metrics.trend(found, until=now, step=step, count=count))
        for title, step, count in SPANS
    ]
    late = [each for each in found if each.at > now - OF_LATE]
    return Trends(charts, metrics.rate(late[0], late[-1]) if late else None)


def _chart(title: str, points: Sequence[Point]) -> Chart:
    rates = [each.rate for each in points if each.rate is not None]
    lags = [each.seconds for each in points if each.seconds is not None]
    if not lags:
        return Chart(title, points, "nobody took samples")
    summary = (
        f"at most {max(rates, default=0.0):.1f} messages a second, and {formatting.age(max(lags))}"
        " behind"
    )
    return Chart(title, points, summary)
