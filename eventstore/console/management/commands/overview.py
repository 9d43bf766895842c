"""manage.py overview [SUBSCRIPTION]: how it goes at a glance, or how one subscription does; with
the figures of the console's pages."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec
from eventstore.console import badges, charts, formatting, overview
from eventstore.operations import lag
from eventstore.operations.lag import Lag


class Command(BaseCommand):
    help = (
        "Show how it goes: each sign with its word, subscriptions, processes, workers, the last"
        " hour and the last day."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "subscription",
            nargs="?",
            help="that one alone, with its rate, its last hour and its last day",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        told, text = (
            _of_a_subscription(_found(options["subscription"]))
            if options["subscription"]
            else _of_all()
        )
        self.stdout.write(codec.encode_json(told).decode() if options["json"] else text)


def _of_all() -> tuple[dict[str, Any], str]:
    seen = overview.glance()
    return _told(seen), _as_text(seen)


def _of_a_subscription(subscription: Lag) -> tuple[dict[str, Any], str]:
    told = charts.told(subscription.name)
    figures = subscription._asdict() | {"state": _state(subscription), "rate": told.rate}
    rate = "not measured" if told.rate is None else f"{told.rate:.1f} positions a second, of late"
    lines = [
        _subscription(subscription),
        f"rate: {rate}",
        *(f"{each.title}: {each.summary}" for each in told.charts),
    ]
    return figures | {"charts": [each.with_names() for each in told.charts]}, "\n".join(lines)


def _found(name: str) -> Lag:
    found = {each.name: each for each in lag.lags()}
    if name not in found:
        raise CommandError(f"{name!r} is no subscription. There are: {', '.join(found)}.")
    return found[name]


def _told(seen: dict[str, Any]) -> dict[str, Any]:
    """Each part of the page, by its name, with a name for each figure."""
    return {
        "signs": [each._asdict() for each in seen["signs"]],
        "subscriptions": [
            each._asdict() | {"state": _state(each)} for each in seen["subscriptions"]
        ],
        "sagas": [
            {"saga": saga, "status": status, "count": count}
            for saga, status, count in seen["sagas"]
        ],
        "charts": [each.with_names() for each in seen["charts"]],
        "beats": [each._asdict() for each in seen["beats"]],
    }


def _as_text(seen: dict[str, Any]) -> str:
    return "\n".join(
        [
            *(f"{each.name}: {each.word}; {each.detail}" for each in seen["signs"]),
            *(f"{each.title}: {each.summary}" for each in seen["charts"]),
            *(f"subscription {_subscription(each)}" for each in seen["subscriptions"]),
            *(f"saga {saga} {status}: {count}" for saga, status, count in seen["sagas"]),
            *(
                f"{each.kind} {each.name or '–'} last heard {formatting.age(each.seconds)} ago"
                for each in seen["beats"]
            ),
        ]
    )


def _subscription(subscription: Lag) -> str:
    oldest = (
        f", the oldest {formatting.age(subscription.seconds)} old" if subscription.events else ""
    )
    return (
        f"{subscription.name}: {_state(subscription)}; {subscription.amount} messages"
        f" ahead{oldest}; parked {subscription.parked}, dead {subscription.dead}"
    )


def _state(subscription: Lag) -> str:
    word, _ = badges.state(subscription)
    return word
