"""Relays and the brokers that they publish to: whether the brokers can be reached and have what is
needed, and whether each relay publishes."""

from collections.abc import Callable, Iterator, Sequence

from eventstore import settings
from eventstore.messaging import brokers, relay, relay_leases
from eventstore.messaging.transport import BrokerProblem

from .findings import CRITICAL, WARNING, Finding, Limits

# Longer than the pause between two attempts of a relay.
FAILING_SECONDS = 10.0


def missing(broker: str) -> Sequence[str]:
    """The topics and exchanges that the broker lacks. Raises BrokerProblem."""
    lacking: Sequence[str] = brokers.administration(broker).missing(relay.published_by(broker))
    return lacking


def topics(
    limits: Limits, *, missing: Callable[[str], Sequence[str]] = missing
) -> Iterator[Finding]:
    """Queries each broker of the settings."""
    for name in settings.brokers():
        try:
            lacking = missing(name)
        except BrokerProblem as problem:
            yield Finding(
                check="broker-unreachable",
                severity=CRITICAL,
                what=f"{name} does not answer: {problem}",
                culprit=f"{name}, or its settings",
                why="Its relays publish nothing. Nothing is lost: the events remain in the log.",
                mend=f"Start {name}, or correct its address and credentials; manage.py brokers"
                " tests the connection.",
            )
            continue
        if lacking:
            yield Finding(
                check="topic-missing",
                severity=CRITICAL,
                what=f"{name} lacks {', '.join(lacking)}.",
                culprit=f"{name}: topics and exchanges are created by a command only",
                why="The relays that publish there have stopped.",
                mend="manage.py brokers --create",
            )


def relays(limits: Limits) -> Iterator[Finding]:
    for each in relay_leases.states():
        if each.error and each.failing > FAILING_SECONDS:
            yield Finding(
                check="relay",
                severity=CRITICAL,
                what=f"{each.name} has published nothing for {each.failing:.0f} s: {each.error}",
                culprit=f"{each.name}, last run by {each.holder}",
                why="Consumers of its broker receive nothing new.",
                mend="manage.py brokers shows what is missing; the relay retries by itself.",
            )
        elif each.token > each.settled and each.ended > limits.lease.total_seconds():
            yield Finding(
                check="relay-lease",
                severity=WARNING,
                what=f"{each.name} began a batch and did not finish it; its lease ended"
                f" {each.ended:.0f} s ago.",
                culprit=f"{each.holder}, which died or hangs",
                why="No other worker has taken the relay over.",
                mend="manage.py work --once; then find out why the workers do not take it.",
            )


CHECKS = (topics, relays)
