"""What the log expects at a broker, read by forked processes."""

import os
import signal
import time
from types import SimpleNamespace

import pytest

from eventstore import log
from eventstore.log import ANY, append
from eventstore.messages import IntegrationEvent
from eventstore.messaging.reconcile import log_side, records
from eventstore.messaging.reconcile.log_side import Fingerprint, LogFailed, LogSide, murmur2
from eventstore.messaging.transport import BrokerUnreachable
from eventstore.outbox import parked
from eventstore.outbox.parked import ParkedMessage
from eventstore.subscriptions import Publication, Relay
from tests.eventstore.toy import Counted

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "toy.published@kafka"


class Changed(IntegrationEvent, frozen=True):
    counter_id: str
    amount: int


def changed(event, history):
    if event.note == "untranslatable":
        raise ValueError(event.note)
    return [Changed(event.counter_id, event.amount)] * event.amount


@pytest.fixture
def events(toys):
    publication = Publication(publish={Counted: changed})
    parts = {NAME: Relay(publication, "kafka"), "toy.published": publication}
    toys(parts, PUBLISHED=[{"toy.changed": Changed}])
    for n in range(40):
        append(f"counter-{n % 7}", [Counted(str(n % 7), n % 3)], expected=ANY)
    return SimpleNamespace(until=log.fence(), number=sum(n % 3 for n in range(40)))


def fingerprinter():
    return lambda envelope: Fingerprint(envelope.sequence, envelope.subject.encode())


def read(until, *, made=fingerprinter, with_partitions=False):
    side = LogSide(NAME, 0, until, made)
    try:
        side.begin(with_partitions=with_partitions)
        return list(side), side
    finally:
        side.close()


def test_two_processes_give_what_one_gives_in_ascending_order(events, monkeypatch):
    alone, side = read(events.until)
    assert (len(side.parts), len(alone)) == (1, events.number)
    monkeypatch.setattr(log_side, "LEAST_POSITIONS", 1)
    together, side = read(events.until)
    assert len(side.parts) == 2
    assert together == alone == sorted(alone)
    assert side.done == events.until


def test_partitions_are_known_where_they_are_wanted(events):
    without, _ = read(events.until)
    assert {records.expected(each).murmur for each in without} == {0}
    with_them, _ = read(events.until, with_partitions=True)
    keys = {murmur2(f"counter-{n}".encode()) for n in range(7)}
    assert {records.expected(each).murmur for each in with_them} == keys


def test_reading_begins_again_where_partitions_are_wanted_in_the_middle(events, monkeypatch):
    monkeypatch.setattr(log_side, "BATCH", 3)
    side = LogSide(NAME, 0, events.until, fingerprinter)
    try:
        while not side.done:
            time.sleep(0.001)
        side.begin(with_partitions=True)
        late = list(side)
    finally:
        side.close()
    assert late == read(events.until, with_partitions=True)[0] == sorted(late)
    assert len(late) == events.number


def test_places_grow_with_positions_and_within_one(events):
    found = sorted(map(records.expected, read(events.until)[0]), key=lambda each: each.place)
    assert len({each.place for each in found}) == len(found)
    assert [each.position for each in found] == sorted(each.position for each in found)


def test_what_is_parked_is_marked_also_if_it_cannot_be_translated(events):
    append("counter-x", [Counted("x", 1, "untranslatable"), Counted("x", 1)], expected=ANY)
    until = log.fence()
    positions = [message.position for message in log.read_stream("counter-x")]
    # Neither is expected: of the second, the sequence before it is not known.
    assert len(read(until)[0]) == events.number
    parked.park(NAME, [ParkedMessage(each, "counter-x") for each in positions])
    marked = [records.expected(each) for each in read(until)[0]]
    assert sorted(each.position for each in marked if each.is_parked) == positions


def test_a_problem_of_the_broker_and_an_error_are_raised_here(events):
    def unreachable():
        raise BrokerUnreachable("away")

    def broken():
        raise ValueError("no origin")

    with pytest.raises(BrokerUnreachable, match="away"):
        read(events.until, made=unreachable)
    with pytest.raises(LogFailed, match="ValueError: no origin"):
        read(events.until, made=broken)


def test_a_process_that_dies_is_named(events):
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(LogFailed, match="died"):
        read(events.until, made=die)
