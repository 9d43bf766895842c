"""Throughput and lag over the last hour and the last day: a table, drawn as a chart by the
browser."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.utils import timezone

from eventstore.console import formatting
from eventstore.operations import metrics
from eventstore.operations.metrics import Point

DAY = timedelta(days=1)
# title, length of a step, number of steps
SPANS = (("The last hour", timedelta(minutes=1), 60), ("The last day", timedelta(minutes=15), 96))
# The present rate is measured over so long.
RECENT = timedelta(minutes=2)


class Chart(NamedTuple):
    """summary: the chart in a sentence, for screen readers."""

    title: str
    points: Sequence[Point]
    summary: str

    @property
    def is_empty(self) -> bool:
        return all(each.events is None for each in self.points)

    def as_json(self) -> dict[str, Any]:
        return self._asdict() | {"points": [each._asdict() for each in self.points]}


class Trends(NamedTuple):
    """rate: positions a second over RECENT; None without samples."""

    charts: Sequence[Chart]
    rate: float | None


def trends(subscription: str = metrics.WHOLE) -> Trends:
    """Of one subscription, or of all together; one query."""
    found, now = metrics.since(DAY, subscription), timezone.now()
    charts = []
    for title, step, count in SPANS:
        points = metrics.trend(found, until=now, step=step, count=count)
        lags = [each.seconds for each in points if each.seconds is not None]
        summary = "no samples"
        if lags:
            rate = max((each.rate for each in points if each.rate is not None), default=0.0)
            lag = formatting.age(max(lags))
            summary = f"at most {rate:.1f} messages a second, and {lag} behind"
        charts.append(Chart(title, points, summary))
    recent = [each for each in found if each.at > now - RECENT]
    return Trends(charts, metrics.rate(recent[0], recent[-1]) if recent else None)
