"""A snapshot is a shortcut: never trusted when its shape is another, and never missed."""

import logging
import os
import subprocess
import sys

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventstore.commands import repository, snapshots
from eventstore.log import ANY, append, streams
from eventstore.models import Snapshot
from tests.eventstore.toy import COUNTER, Closed, Counted, Counter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture
def long(toys):
    """A counter of 250 events, in a world where a snapshot is taken about every hundred."""
    toys(AGGREGATES=[COUNTER._replace(snapshot_every=100)])
    append("counter-a", [Counted("a")] * 250, expected=ANY)
    return "counter-a"


def load(stream):
    repository.forget()
    return repository.load([stream])[stream]


def fetched(stream):
    """How many events were read to load the stream anew."""
    repository.forget()
    counted = []
    asked = streams.rows_in_binary
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            streams,
            "rows_in_binary",
            lambda *asking: counted.append(len(page := asked(*asking))) or page,
        )
        repository.load([stream])
    return sum(counted)


def test_the_events_behind_a_snapshot_are_not_read_again(long):
    assert (repository.take_snapshots(), fetched(long)) == (1, 0)
    append(long, [Counted("a")] * 3, expected=ANY)
    assert fetched(long) == 3
    assert load(long) == (253, Counter(total=253))


def test_a_stream_is_snapshot_again_only_after_its_next_milestone(long):
    repository.take_snapshots()
    append(long, [Counted("a")] * 20, expected=ANY)
    assert repository.take_snapshots() == 0
    append(long, [Counted("a")] * 40, expected=ANY)
    assert repository.take_snapshots() == 1
    assert Snapshot.objects.get().version == 310


def test_short_streams_and_aggregates_that_ask_for_none_have_no_snapshot(toys, long):
    append("counter-b", [Counted("b")] * 50, expected=ANY)
    repository.take_snapshots()
    assert [each.stream for each in Snapshot.objects.all()] == [long]
    toys()
    append("counter-c", [Counted("c")] * 250, expected=ANY)
    assert repository.take_snapshots() == 0


def test_a_snapshot_of_another_shape_is_ignored(long):
    repository.take_snapshots()
    Snapshot.objects.update(shape="of-other-code", state={"total": -1, "closed": True})
    assert fetched(long) == 250
    assert load(long) == (250, Counter(total=250))


def test_code_that_folds_otherwise_has_another_shape(long, toys):
    before = snapshots.shape(COUNTER)
    toys(
        AGGREGATES=[
            COUNTER._replace(evolve=COUNTER.evolve | {Closed: lambda counter, event: counter})
        ]
    )
    assert snapshots.shape(COUNTER) != before


def test_a_corrupt_snapshot_is_ignored_with_a_warning(long, caplog):
    repository.take_snapshots()
    Snapshot.objects.update(state={"total": "many"})
    with caplog.at_level(logging.WARNING):
        assert load(long) == (250, Counter(total=250))
    assert "cannot be decoded" in caplog.text


def test_a_snapshot_from_elsewhere_that_is_ahead_of_the_log_is_ignored_with_a_warning(long, caplog):
    repository.take_snapshots()
    Snapshot.objects.update(version=400)
    with caplog.at_level(logging.WARNING):
        assert load(long) == (250, Counter(total=250))
    assert "is not in the log" in caplog.text


FOLDS_BY_A_SET = """
def folded(counter, event):
    return counter if event.note in {"one", "two", "three", "four", "five"} else None

from eventstore.commands.snapshots import _code_of
print(_code_of(folded.__code__))
"""


def test_the_shape_is_the_same_in_every_process():
    """Strings are hashed otherwise in each, and so a set of them comes in another order."""
    shapes = {
        subprocess.run(
            [sys.executable, "-c", FOLDS_BY_A_SET],
            env=os.environ | {"PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "config.settings"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(shapes) == 1


def test_an_older_snapshot_never_replaces_a_newer_one(long):
    repository.take_snapshots()
    newer = Snapshot.objects.get()
    snapshots.save({long: repository.VersionedState(10, Counter(total=10))})
    assert Snapshot.objects.get().version == newer.version


def test_loading_many_streams_takes_two_queries_however_many(long):
    repository.take_snapshots()
    repository.forget()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        repository.load([long, *(f"counter-{number}" for number in range(100))])
    assert len(queries) == 2
