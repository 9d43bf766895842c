"""Lag is what a subscription would read, counted without reading it, for all subscriptions at
once."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from eventstore import log
from eventstore.commands import bus
from eventstore.delivery import step
from eventstore.log import ANY, append
from eventstore.models import OutboxMessage, Parked, Subscription
from eventstore.operations import lag
from eventstore.outbox import cursors
from eventstore.outbox.cursors import Claim
from eventstore.subscriptions import Commands
from eventstore.testing import drain
from tests.eventstore.toy import ROUND, TALLIES, Close, Closed, Count, Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

EVERY_SUBSCRIPTION = {
    "toy": Commands(),
    "toy.tallies": TALLIES,
    "toy.round": ROUND,
    "toy.closings": TALLIES._replace(evolve={Closed: TALLIES.evolve[Closed]}),
}


def count(name="a", amount=1):
    append(f"counter-{name}", [Counted(name, amount)], expected=ANY)


def by_name():
    return {each.name: each for each in lag.lags()}


def events():
    return {
        each.name: each.events for each in lag.lags() if each.kind not in ("snapshots", "clearing")
    }


def readable(name):
    """As many messages as the subscription would be given, were it asked for all."""
    claimed = Claim(*_standing(name))
    if not claimed.from_log:
        return len(cursors.read(name, claimed, 1000))
    later = claimed._replace(position=claimed.until, until=claimed.fence, from_log=False)
    return len(cursors.read(name, claimed, 1000)) + len(cursors.read(name, later, 1000))


def _standing(name):
    with transaction.atomic():
        return cursors.claim(name)


def test_a_subscription_is_behind_by_what_it_hears():
    for amount in (1, 2, 3):
        count(amount=amount)
    step.step("toy.tallies", limit=2)
    behind = by_name()["toy.tallies"]
    last = log.fence()
    assert (behind.kind, behind.fence, behind.events, behind.positions) == (
        "projection",
        last,
        1,
        1,
    )
    assert 0 < behind.seconds < 60
    drain()
    settled = by_name()["toy.tallies"]
    assert (settled.events, settled.seconds, settled.positions) == (0, 0, 0)


def test_every_subscription_is_behind_by_as_much_as_it_could_read(toys):
    toys(EVERY_SUBSCRIPTION)
    for number in range(8):
        for name in "abc":
            count(name, amount=4)
        bus.enqueue([Count("owed", number)])
        if number % 3 == 0:
            append("counter-x", [Closed("x")], expected=ANY)
        for subscription in list(EVERY_SUBSCRIPTION)[: number % 5]:
            step.step(subscription, limit=2 + number)
        assert events() == {
            subscription: readable(subscription) for subscription in EVERY_SUBSCRIPTION
        }, number
    assert len(set(events().values())) > 2, "they stand at different places"


def test_what_is_owed_is_behind_for_its_own_subscription_only(toys):
    toys(EVERY_SUBSCRIPTION)
    bus.enqueue([Count("a"), Close("a")])
    assert events() == {"toy": 2, "toy.tallies": 0, "toy.round": 0, "toy.closings": 0}


def test_a_younger_subscription_is_behind_by_what_only_the_log_has():
    before = log.fence()
    for amount in (1, 2, 3):
        count(amount=amount)
    drain()
    Subscription.objects.exclude(name=cursors.CLEARED).update(position=log.fence())
    assert cursors.clear(retention=timedelta()) == 3
    assert not OutboxMessage.objects.exists()
    assert by_name()["toy.tallies"].events == 0
    Subscription.objects.filter(name="toy.tallies").update(position=before + 1)
    count()
    behind = by_name()["toy.tallies"]
    assert behind.events == readable("toy.tallies") == 3
    assert behind.seconds > 0


def test_of_a_subscription_that_is_far_behind_the_beginning_is_counted(toys, monkeypatch):
    toys(EVERY_SUBSCRIPTION)
    monkeypatch.setattr(lag, "COUNTED", 5)
    for _ in range(12):
        count()
    Subscription.objects.filter(name="toy.closings").update(position=by_name()["toy"].fence - 2)
    lags = by_name()
    assert (lags["toy.tallies"].amount, lags["toy.tallies"].is_behind) == (
        "7 or more",
        True,
    ), "5 of 10, and the last 2"
    assert (lags["toy.closings"].amount, lags["toy.closings"].is_behind) == (
        "0",
        False,
    ), "it is near enough"
    assert lags["toy.tallies"].seconds > lags["toy.closings"].seconds
    drain()
    assert by_name()["toy.tallies"].amount == "0"


def test_what_was_retired_is_shown_and_makes_nobody_slower():
    Subscription.objects.create(name="gone.away")
    count()
    drain()
    gone = by_name()["gone.away"]
    assert (gone.kind, gone.events, gone.positions) == ("retired", 0, log.fence())


def test_parked_and_dead_messages_are_counted_apart():
    for position, status in enumerate(("waiting", "failed", "leased", "dead"), start=1):
        Parked.objects.create(subscription="toy.tallies", position=position, key="a", status=status)
    subscription = by_name()["toy.tallies"]
    assert (subscription.parked, subscription.dead) == (3, 1)


def test_a_fence_that_fell_back_is_no_negative_lag():
    Subscription.objects.filter(name="toy.tallies").update(position=log.fence() + 500)
    assert by_name()["toy.tallies"].positions == 0


def test_one_query_for_any_number_of_subscriptions(toys):
    toys(EVERY_SUBSCRIPTION)
    with CaptureQueriesContext(connection) as queries:
        lag.lags()
    assert len(queries) == 1


def test_the_command_says_it_in_lines_and_in_json():
    count()
    lines = _output().splitlines()
    assert f"toy.tallies projection 0 {log.fence()} 1 " in "\n".join(lines)
    assert lines[0].split()[:2] == ["subscription", "kind"]
    assert len(lines) == 1 + Subscription.objects.count()
    output = {each["name"]: each for each in json.loads(_output("--json"))}
    assert (output["toy.tallies"]["events"], output["toy.tallies"]["kind"]) == (1, "projection")
    assert output["toy.tallies"]["seconds"] > 0


def _output(*options):
    output = StringIO()
    call_command("subscriptions", *options, stdout=output)
    return output.getvalue()
