"""Brokers and relays: what cannot be reached, what is missing there, and which relay fails."""

from collections.abc import Iterator

from eventstore import settings
from eventstore.messaging import brokers, relay, relay_leases
from eventstore.messaging.transport import BrokerProblem

from .findings import CRITICAL, WARNING, Finding, Limits

# A rest between two tries of a relay is shorter.
FAILING_SECONDS = 10.0


def administration(limits: Limits) -> Iterator[Finding]:
    """Asks each broker that the settings name."""
    for name in settings.brokers():
        try:
            missing = brokers.administration(name).missing(relay.published_by(name))
        except BrokerProblem as problem:
            yield Finding(
                "broker-unreachable",
                CRITICAL,
                f"{name} does not answer: {problem}",
                f"{name}, or its settings",
                "Its relays publish nothing; what they owe stays in the log.",
                f"Start {name}, or correct its address and credentials; manage.py brokers asks it.",
            )
        else:
            if missing:
                yield Finding(
                    "topic-missing",
                    CRITICAL,
                    f"{name} lacks {', '.join(missing)}.",
                    f"{name}: topics and exchanges are created by a command only",
                    "The relays that publish there stand still.",
                    "manage.py brokers --create",
                )


def relays(limits: Limits) -> Iterator[Finding]:
    for each in relay_leases.states():
        if each.error and each.failing > FAILING_SECONDS:
            yield Finding(
                "relay",
                CRITICAL,
                f"{each.name} has published nothing for {each.failing:.0f} s: {each.error}",
                f"{each.name}, last tried by {each.holder}",
                "Consumers of its broker hear nothing new.",
                "manage.py brokers; the relay tries again by itself.",
            )
        elif each.token > each.settled and each.ended > limits.lease.total_seconds():
            yield Finding(
                "relay-lease",
                WARNING,
                f"{each.name} began a batch and did not end it; its lease ran out"
                f" {each.ended:.0f} s ago.",
                f"{each.holder}, which has died or stands still",
                "No other worker has taken the relay over.",
                "manage.py work --once; and see why the workers do not take it",
            )


CHECKS = (administration, relays)
