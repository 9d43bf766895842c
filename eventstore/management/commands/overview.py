"""manage.py overview [--json]: how it goes at a glance, with the figures of the console's page."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventstore import codec
from eventstore.admin import lane_states, overview, shown
from eventstore.admin.trends import Chart
from eventstore.lag import Lag


class Command(BaseCommand):
    help = "Show how it goes: each sign with its word, lanes, processes, workers, the last hour and the last day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        seen = overview.glance()
        self.stdout.write(codec.encode_json(_told(seen)).decode() if options["json"] else _as_text(seen))


def _told(seen: dict[str, Any]) -> dict[str, Any]:
    """Each part of the page, by its name, with a name for each figure."""
    return {
        "signs": [each._asdict() for each in seen["signs"]],
        "lanes": [each._asdict() | {"state": _state(each)} for each in seen["lanes"]],
        "sagas": [{"saga": saga, "status": status, "count": count} for saga, status, count in seen["sagas"]],
        "charts": [_drawn(each) for each in seen["charts"]],
        "beats": [each._asdict() for each in seen["beats"]],
    }


def _drawn(chart: Chart) -> dict[str, Any]:
    return chart._asdict() | {"points": [each._asdict() for each in chart.points]}


def _as_text(seen: dict[str, Any]) -> str:
    return "\n".join(
        [
            *(f"{each.name}: {each.word}; {each.detail}" for each in seen["signs"]),
            *(f"{each.title}: {each.summary}" for each in seen["charts"]),
            *(f"lane {_lane(each)}" for each in seen["lanes"]),
            *(f"saga {saga} {status}: {count}" for saga, status, count in seen["sagas"]),
            *(f"{each.kind} {each.name} last heard {shown.age(each.seconds)} ago" for each in seen["beats"]),
        ]
    )


def _lane(lane: Lag) -> str:
    oldest = f", the oldest {shown.age(lane.seconds)} old" if lane.events else ""
    return f"{lane.name}: {_state(lane)}; {lane.amount} messages ahead{oldest}; parked {lane.parked}, dead {lane.dead}"


def _state(lane: Lag) -> str:
    word, _ = lane_states.state(lane)
    return word
