"""manage.py overview [SUBSCRIPTION]: the console's overview, or one subscription with its rate and
its charts."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.console import at_brokers, formatting
from eventstore.console.diagrams import charts
from eventstore.console.pages import overview
from eventstore.management.command import EscapingCommand
from eventstore.operations import lag
from eventstore.operations.lag import Lag


class Command(EscapingCommand):
    help = (
        "Show indicators, subscriptions, sagas, workers, and throughput and lag of the last hour"
        " and day."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subscription", nargs="?", help="show only this one")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["subscription"]
        if name:
            known = {each.name: each for each in lag.lags()}
            if name not in known:
                names = ", ".join(known)
                raise CommandError(f"Unknown subscription {name!r}. Known subscriptions: {names}.")
            subscription, trends = known[name], charts.trends(name)
            figures = subscription._asdict() | {
                "state": subscription.state,
                "rate": trends.rate,
                "charts": [each.as_json() for each in trends.charts],
            }
            at_broker = [each for each in at_brokers.at_brokers() if each.name == name]
            figures["broker"] = at_broker[0].as_json() if at_broker else None
            rate = (
                "not measured" if trends.rate is None else f"{trends.rate:.1f} positions a second"
            )
            lines = [_line(subscription)]
            lines += [f"at the broker: {each.summary}" for each in at_broker]
            lines.append(f"rate: {rate}")
            lines += [f"{each.title}: {each.summary}" for each in trends.charts]
        else:
            figures, lines = _all()
        text = codec.encode_json(figures).decode() if options["json"] else "\n".join(lines)
        self.stdout.write(text)


def _all() -> tuple[dict[str, Any], list[str]]:
    found = overview.overview()
    subscriptions = found["subscriptions"]
    figures = {
        "indicators": [each._asdict() for each in found["indicators"]],
        "subscriptions": [each._asdict() | {"state": each.state} for each in subscriptions],
        "sagas": [
            {"saga": saga, "status": status, "count": count}
            for saga, status, count in found["sagas"]
        ],
        "charts": [each.as_json() for each in found["charts"]],
        "heartbeats": [each._asdict() for each in found["heartbeats"]],
        "brokers": [each.as_json() for each in found["brokers"]],
    }
    lines = [
        *(f"{each.name}: {each.state}; {each.detail}" for each in found["indicators"]),
        *(f"{each.title}: {each.summary}" for each in found["charts"]),
        *(f"subscription {_line(each)}" for each in subscriptions),
        *(f"broker of {each.name}: {each.summary}" for each in found["brokers"]),
        *(f"saga {saga} {status}: {count}" for saga, status, count in found["sagas"]),
        *(
            f"{each.kind} {each.name or '–'} last heartbeat {formatting.age(each.seconds)} ago"
            for each in found["heartbeats"]
        ),
    ]
    return figures, lines


def _line(subscription: Lag) -> str:
    age = formatting.age(subscription.seconds)
    oldest = f", the oldest {age} old" if subscription.events else ""
    return (
        f"{subscription.name}: {subscription.state}; {subscription.amount} messages"
        f" behind{oldest}; parked {subscription.parked}, dead {subscription.dead}"
    )
