"""Where the subscriptions stood is written down every so often, kept for a day, and told in steps
of time."""

from datetime import UTC, datetime, timedelta

import pytest

from eventstore import log
from eventstore.log import ANY, append
from eventstore.models import Sample, Subscription
from eventstore.operations import maintenance, metrics
from eventstore.operations.metrics import Point
from eventstore.testing import drain
from tests.eventstore.toy import Counted

NOW = datetime(2026, 1, 1, 12, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def sample(seconds_ago, position, events=0, seconds=0.0):
    return metrics.Sample(NOW - timedelta(seconds=seconds_ago), position, events, seconds)


def trend(*samples, count=3):
    return metrics.trend(samples, until=NOW, step=MINUTE, count=count)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("toys")
class TestTaken:
    def test_the_beat_writes_one_of_each_subscription_and_one_of_the_whole_however_often_it_beats(
        self,
    ):
        append("counter-a", [Counted("a", 1), Counted("a", 2)], expected=ANY)
        maintenance.watch()
        maintenance.watch()
        slots = len({each.slot for each in Sample.objects.all()})
        assert slots in (1, 2), "unless half a minute ended between the two"
        assert Sample.objects.filter(subscription="toy.tallies").count() == slots
        (whole, *_) = metrics.since(MINUTE)
        assert (whole.position, whole.events) == (log.fence(), 2), "one subscription hears both"
        assert whole.seconds > 0

    def test_neither_cursors_of_our_own_nor_retired_ones_are_told(self):
        Subscription.objects.create(name="retired.one")
        metrics.take()
        assert set(Sample.objects.values_list("subscription", flat=True)) == {
            "",
            "toy",
            "toy.tallies",
        }

    def test_what_is_older_than_a_day_and_a_bit_goes(self):
        now = int(datetime.now(UTC).timestamp() // 30)
        for hours in (1, 24, 26):
            Sample.objects.create(
                subscription="",
                slot=now - hours * 120,
                at=datetime.now(UTC),
                position=1,
                events=0,
                seconds=0,
            )
        drain()
        metrics.take()
        assert Sample.objects.filter(subscription="").count() == 3
        assert len(metrics.since(timedelta(hours=25))) == 3
        assert len(metrics.since(timedelta(hours=2))) == 2


def test_a_step_has_its_highest_lag_and_the_rate_since_the_one_before():
    points = trend(sample(70, 100, 5, 2.0), sample(40, 160, 50, 9.0), sample(10, 400, 0, 0.0))
    assert [(each.events, each.seconds) for each in points] == [(None, None), (50, 9.0), (0, 0.0)]
    assert [each.rate for each in points] == [None, 2.0, 8.0]
    assert [each.at.minute for each in points] == [28, 29, 30]


def test_where_nobody_took_samples_nothing_is_made_up():
    points = trend(sample(150, 100), sample(5, 900))
    assert points[1] == Point(datetime(2026, 1, 1, 12, 29, tzinfo=UTC))
    assert points[2].rate is None, "the log may have grown at any time since"
    assert trend() == [Point(each.at) for each in trend()]


def test_a_subscription_that_was_put_back_does_not_run_backwards():
    assert trend(sample(70, 100), sample(10, 0))[-1].rate == 0
