"""Killed at any seam and done again, it comes to the same end: every statement, commit and call,
whatever they are."""

import os
import pkgutil
import re
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from itertools import count as counting

import psycopg
import pytest
from django.db import connection, transaction

import eventstore
from eventstore import log
from eventstore.commands import bus, deferred, idempotency, inbox, repository, snapshots
from eventstore.delivery import heartbeats, step
from eventstore.effects import calls
from eventstore.log import ANY, NO_STREAM, WrongExpectedVersion, append, epochs
from eventstore.messages import BrokerMessage
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Partition, Range
from eventstore.models import (
    DeferredCommand,
    EarlyMessage,
    Event,
    OperatorAction,
    OutboxMessage,
    Parked,
    Received,
    RegisteredSchema,
    SagaState,
    Snapshot,
    StoredResponse,
    Subscription,
)
from eventstore.operations import control as subscriptions
from eventstore.operations import dead_letters, restore
from eventstore.outbox import cursors, received
from eventstore.projections import rebuild
from eventstore.schemas.registry import documents, service
from eventstore.schemas.registry.errors import RegistryError
from eventstore.subscriptions import Commands, Effect

from . import seams, toy
from .conftest import empty
from .toy import Close, Closed, Count, Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True)]

TALLIES = "toy.tallies"
ALL = os.environ.get("SEAMS") == "all"


def no_answer(event, key):
    raise TimeoutError


def _enqueue(id_, outgoing):
    return log.write([], outgoing)


class Story:
    """before: what has happened. act: what is killed, and done again. then: what must have come of
    it, once.

    stride: at how many of its seams it is killed ordinarily, 1 at each; with SEAMS=all (make
    faults) at each of all.
    """

    subscriptions, aggregates, stride = {}, toy.AGGREGATES, 1

    def before(self):
        pass

    def act(self):
        for name in self.subscriptions:
            while step.step(name):
                pass

    def then(self):
        raise NotImplementedError


class AnAppend(Story):
    def act(self):
        with suppress(WrongExpectedVersion):
            append("counter-a", [Counted("a", 1), Counted("a", 2)], expected=NO_STREAM)

    def then(self):
        assert [each.version for each in Event.objects.order_by("position")] == [1, 2]
        assert OutboxMessage.objects.filter(topic="event").count() == 2


class ACommand(Story):
    def act(self):
        bus.dispatch(Close("a"))  # which a closed counter ignores

    def before(self):
        append("counter-a", [Counted("a", 1)], expected=ANY)

    def then(self):
        assert [each.type for each in Event.objects.order_by("position")] == [
            "toy.counted",
            "toy.closed",
        ]


class AnAnswer(Story):
    """A client that has heard nothing asks again under its key, and hears what was answered."""

    key = idempotency.IdempotencyKey("ada POST /orders/ k1", "what was asked")

    def act(self):
        given = idempotency.StoredResponse(202, {}, '{"position":null}')
        with suppress(idempotency.AlreadyAnswered):
            bus.dispatch(
                Count("a", 5),
                write=lambda _, *appended: idempotency.write(self.key, given, *appended),
            )

    def then(self):
        assert Event.objects.get().data["amount"] == 5
        assert idempotency.find(self.key).body == f'{{"position":{Event.objects.get().position}}}'


class AProjection(Story):
    subscriptions = {TALLIES: toy.TALLIES}

    def before(self):
        append("counter-b", [Counted("b", 1)], expected=ANY)
        Story.act(self)
        append("counter-a", [Counted("a", 1), Counted("a", 2)], expected=ANY)
        append("counter-b", [Closed("b")], expected=ANY)

    def then(self):
        assert [each.heard for each in Tally.objects.all()] == [[1, 2]]


class ASaga(Story):
    subscriptions = {"toy.round": toy.ROUND}

    def before(self):
        append("counter-a", [Counted("a", 10)], expected=ANY)

    def then(self):
        assert OutboxMessage.objects.filter(type="toy.close").count() == 1


class ADeadline(Story):
    subscriptions = {"toy.round": toy.ROUND}

    def before(self):
        append("counter-a", [Counted("a", 1, "wait")], expected=ANY)
        Story.act(self)
        SagaState.objects.update(deadline_at="2020-01-01T00:00Z")

    def act(self):
        step.tell_deadlines()
        super().act()

    def then(self):
        assert SagaState.objects.get().status == "LATE"
        assert OutboxMessage.objects.filter(type="toy.close").count() == 1


class ACommandSubscription(Story):
    subscriptions = {"toy": Commands()}

    def before(self):
        log.write([], [log.outgoing(Count("a", 5), metadata=log.current_metadata())])

    def then(self):
        assert Event.objects.get().version == 1


class ALeftCommand(Story):
    """A client left it with us, and asks what became of it."""

    subscriptions = {"toy": Commands()}

    def act(self):
        if not DeferredCommand.objects.exists():
            deferred.defer(
                Count("a", 5),
                metadata=log.current_metadata(),
                principal="ada",
                location="/",
                write=_enqueue,
            )
        super().act()

    def then(self):
        assert Event.objects.get().data["amount"] == 5
        assert DeferredCommand.objects.get().status == "SUCCEEDED"


class ACall(Story):
    """The provider knows what it has done, and is asked before it does it again; here, for lack of
    one, by nobody."""

    subscriptions = {"toy.effect": toy.EFFECT}

    def before(self):
        append("counter-a", [Counted("a", 1)], expected=ANY)

    def act(self):
        super().act()
        calls.this_process.wait_for_any(1)
        super().act()

    def again(self):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE eventstore_parked SET due_at = now() WHERE status = 'leased'")
        self.act()

    def then(self):
        assert OutboxMessage.objects.filter(topic="toy").count() == 1
        assert not Parked.objects.exists()


class AFailedCall(ACall):
    subscriptions, stride = {"toy.effect": Effect(perform={Counted: no_answer}, trips=1)}, 4

    def then(self):
        if Parked.objects.get().status == "failed":
            assert not OutboxMessage.objects.filter(topic="toy").exists()
        else:
            assert Parked.objects.get().status in ("waiting", "leased")


class AFailure(Story):
    """Parked, and behind it what must stay in order."""

    subscriptions, stride = {TALLIES: toy.TALLIES}, 4

    def before(self):
        append("counter-a", [Counted("a", 1, "boom"), Counted("a", 2)], expected=ANY)

    def then(self):
        assert list(Parked.objects.order_by("position").values_list("status", "attempts")) == [
            ("failed", 1),
            ("waiting", 0),
        ]
        assert not Tally.objects.exists()


class ARetry(Story):
    subscriptions, stride = {TALLIES: toy.TALLIES}, 3

    def before(self):
        append("counter-a", [Counted("a", 1), Counted("a", 2)], expected=ANY)
        cursors.ensure_cursors()
        with transaction.atomic():
            positions = list(Event.objects.order_by("position").values_list("position", flat=True))
            Parked.objects.create(
                subscription=TALLIES,
                position=positions[0],
                key="a",
                status="failed",
                attempts=1,
                due_at="2020-01-01T00:00Z",
            )
            Parked.objects.create(
                subscription=TALLIES, position=positions[1], key="a", status="waiting"
            )
            cursors.move(TALLIES, positions[1])

    def then(self):
        assert Tally.objects.get().heard == [1, 2]
        assert not Parked.objects.exists()


class AHand(Story):
    """A person discards one, and tries another again."""

    subscriptions, stride = {TALLIES: toy.TALLIES}, 4

    def before(self):
        append("counter-a", [Counted("a", 1), Counted("a", 2)], expected=ANY)
        cursors.ensure_cursors()
        self.first, self.second = Event.objects.order_by("position").values_list(
            "position", flat=True
        )
        for position, status in ((self.first, "dead"), (self.second, "waiting")):
            Parked.objects.create(subscription=TALLIES, position=position, key="a", status=status)
        Subscription.objects.filter(name=TALLIES).update(position=self.second)

    def act(self):
        with suppress(dead_letters.NotParked):
            dead_letters.discard(TALLIES, [self.first], who="ada", reason="nobody needs it")
        with suppress(subscriptions.OperationRefused):
            subscriptions.pause(TALLIES, who="ada")
        with suppress(dead_letters.NotParked):
            dead_letters.retry(TALLIES, [self.second], who="ada")
        with suppress(subscriptions.OperationRefused):
            subscriptions.resume(TALLIES, who="ada")
        super().act()

    def then(self):
        assert Tally.objects.get().heard == [2]
        assert OperatorAction.objects.filter(action="discard").count() == 1


class AReading(Story):
    """A broker delivers again what was not acknowledged; here the batch, and one behind it."""

    partition, queue = Partition("events.toy", 0), Partition("toy.reader", 0)

    def before(self):
        append("counter-a", [Counted("a", 1)], expected=ANY)

    def act(self):
        start = intake.begin("toy.reader", [self.partition])[self.partition]
        batch = [_of_a_broker(3, 2), _of_a_broker(1, 0), _of_a_broker(9, 8)]
        with suppress(intake.OffsetMoved):
            intake.store("toy.reader", batch[start:], {self.partition: Range(start, 3)})
        intake.begin("toy.reader", [self.queue])
        intake.store_from_queue("toy.reader", self.queue, [_of_a_broker(2, 1)])
        intake.release_overdue("toy.reader")
        intake.report_hole("toy.reader", self.partition, 7)
        with transaction.atomic():
            intake.seek("toy.reader", self.partition, 3)

    def then(self):
        stored = OutboxMessage.objects.filter(topic="toy.reader").order_by("position")
        assert [each.payload["offset"] for each in stored] == [1, 2, 3]
        assert EarlyMessage.objects.get().sequence == 9
        assert intake.begin("toy.reader", [self.partition]) == {self.partition: 3}


def _of_a_broker(sequence, previous):
    found = {"id": sequence, "stream": "s", "sequence": sequence, "previoussequence": previous}
    headers = tuple((f"ce_{name}".encode(), str(value).encode()) for name, value in found.items())
    return BrokerMessage("kafka", "events.toy", b"s", b"{}", headers, 0, offset=sequence)


class Housekeeping(Story):
    stride = 3

    def before(self):
        inbox.receive("stripe", "evt_1", [])
        deferred.defer(
            Count("a", 5),
            metadata=log.current_metadata(),
            principal="ada",
            location="/",
            write=_enqueue,
        )
        DeferredCommand.objects.update(status="REFUSED")
        AnAnswer().act()

    def act(self):
        heartbeats.forget_own()
        heartbeats.note(heartbeats.WORKER)
        heartbeats.forget()
        for forget in (received.forget, deferred.forget, idempotency.forget):
            forget(older_than=timedelta(0))

    def then(self):
        assert not Received.objects.exists()
        assert not DeferredCommand.objects.exists()
        assert idempotency.find(AnAnswer.key) is None


class ASnapshot(Story):
    aggregates = [toy.COUNTER._replace(snapshot_every=snapshots.MILESTONE)]

    def before(self):
        append("counter-a", [Counted("a", 1)] * (snapshots.MILESTONE + 1), expected=ANY)

    def act(self):
        repository.take_snapshots()

    def then(self):
        assert Snapshot.objects.get().stream == "counter-a"
        assert Subscription.objects.get(name=cursors.SNAPSHOTS).position == log.fence()
        repository.forget()
        assert repository.load(["counter-a"])["counter-a"].version == snapshots.MILESTONE + 1


class AClearing(Story):
    subscriptions = {TALLIES: toy.TALLIES}

    def before(self):
        append("counter-a", [Counted("a", 1), Counted("a", 2)], expected=ANY)
        Story.act(self)
        repository.take_snapshots()

    def act(self):
        cursors.clear(retention=timedelta(0))
        cursors.clear(retention=timedelta(0))

    def then(self):
        assert Event.objects.count() == 2
        assert cursors.work() == set()
        assert Subscription.objects.get(name=cursors.CLEARED).position == log.fence()


class AWordFromOutside(Story):
    subscriptions = {"toy": Commands()}

    def act(self):
        inbox.receive("stripe", "evt_1", [Count("a", 5)])
        super().act()

    def then(self):
        assert Event.objects.get().data["amount"] == 5


class ARebuild(Story):
    """From nothing to the swap: the longest of all, so that ordinarily it dies at some of its seams
    only."""

    subscriptions, stride = {TALLIES: toy.TALLIES}, 11

    def before(self):
        append("counter-a", [Counted("a", 1), Counted("a", 2)], expected=ANY)
        Story.act(self)
        Tally.objects.update(total=77)

    def act(self):
        rebuild.rebuild(TALLIES)

    def then(self):
        tally = Tally.objects.get()
        assert (tally.total, tally.heard) == (3, [1, 2])
        assert Subscription.objects.get(name=TALLIES).position == log.fence()


class ARestore(Story):
    """Killed, it is run again; the epoch that had begun and was not seen to is the one that is
    then."""

    stride = 3

    def before(self):
        append("counter-a", [Counted("a", 1)], expected=ANY)
        epochs.begin(epochs.PROMOTION, over=epochs.mark())
        lost = {"scope": "1 POST / k", "fingerprint": "f", "status": 202, "headers": {}}
        answers_of = epochs.history()[-1].last + 1
        StoredResponse.objects.create(**lost, body=f'{{"position":{answers_of}}}')

    def act(self):
        restore.restored(who="ada", reason="a drill")

    def then(self):
        assert not StoredResponse.objects.exists()
        assert epochs.ask().epochs[-1].settled_at is not None
        assert OperatorAction.objects.filter(action="after restore").exists()


class ARegistration(Story):
    """Two schemas, one of which refers to the other, settings, and a subject that is deleted."""

    stride = 3
    money = documents.read('{"type":"record","name":"Money","fields":[]}')
    price = documents.read(
        '{"type":"record","name":"Price","fields":[{"name":"of","type":"Money"}]}',
        references=(documents.Reference("Money", "money", 1),),
    )

    def before(self):
        service.register("gone", documents.read('"string"'))

    def act(self):
        service.register("money", self.money)
        service.register("prices", self.price)
        service.set_compatibility("prices", "FULL")
        service.set_mode("prices", "READWRITE")
        for permanent in (False, True):
            with suppress(RegistryError):
                service.delete_subject("gone", permanent=permanent)

    def then(self):
        assert service.subjects(deleted=True) == ["money", "prices"]
        assert service.by_id(3).document == self.price
        assert service.referring("money", "1") == [3]
        assert RegisteredSchema.objects.count() == 3
        assert service.compatibility_of("prices") == "FULL"


STORIES = [
    ARegistration,
    AnAppend,
    ACommand,
    AnAnswer,
    AProjection,
    ASaga,
    ADeadline,
    ACommandSubscription,
    ALeftCommand,
    ACall,
    AFailedCall,
    AFailure,
    ARetry,
    AHand,
    AReading,
    Housekeeping,
    ASnapshot,
    AClearing,
    AWordFromOutside,
    ARebuild,
    ARestore,
]


@pytest.mark.parametrize("kind", STORIES)
def test_killed_at_each_seam_and_done_again_it_comes_to_the_same_end(kind, toys, another):
    story, observer = kind(), another()
    for deadly in counting(1, 1 if ALL else story.stride):
        begin(story, toys)
        lived = seams.lives_through(story.act, deadly=deadly)
        seams.until_alone(observer)
        if not lived:
            getattr(story, "again", story.act)()
        story.then()
        if lived:
            break
    assert deadly > 1, "it passes no seam"


def test_every_statement_that_writes_is_in_one_of_the_stories(toys, monkeypatch):
    """A new one wants a story above, or a reason here."""
    sent = set()
    execute = psycopg.Cursor.execute

    def record(cursor, statement, *args, **kwargs):
        sent.add(str(statement))
        return execute(cursor, statement, *args, **kwargs)

    monkeypatch.setattr(psycopg.Cursor, "execute", record)
    for kind in STORIES:
        story = kind()
        begin(story, toys)
        story.act()
        story.then()
    missing = {
        name for name, statement in written().items() if not any(map(statement.fullmatch, sent))
    }
    assert missing == set(COVERED_ELSEWHERE)


def written():
    """Every constant of the engine that is a statement which writes, as a pattern of what is
    sent."""
    found = {}
    for module in pkgutil.walk_packages(eventstore.__path__, "eventstore."):
        if not module.name.startswith(APART):
            for name, value in vars(import_module(module.name)).items():
                if name.isupper() and isinstance(value, str) and WRITES.search(value):
                    parts = map(re.escape, re.split(r"\{\w*\}", value.replace("%%", "%")))
                    found[f"{module.name.removeprefix('eventstore.')}.{name}"] = re.compile(
                        "[^;]*".join(parts), re.S
                    )
    return found


WRITES = re.compile(
    r"\b(INSERT INTO|UPDATE \w+\s+(AS \w+\s+)?SET|DELETE FROM|eventstore_append|CREATE TABLE|DROP"
    r" TABLE)\b"
)
# Migrations run alone; the doctor's faults and what is for tests break things on purpose.
APART = (
    "eventstore.migrations",
    "eventstore.sql",
    "eventstore.operations.doctor",
    "eventstore.testing",
)
COVERED_ELSEWHERE = {
    "outbox.parked.LEASE": "effects/test_calls.py; of a repeated call, as PARK of the first one",
    "outbox.parked.RENEW": "test_leases.py; it changes nothing but a time",
    "messaging.relay_leases.TAKE": "messaging/test_kafka.py; kill -9 between broker and cursor",
    "messaging.relay_leases.SETTLE": "messaging/test_kafka.py; as TAKE",
    "messaging.relay_leases.RELEASE": "messaging/test_kafka.py; one statement that changes a time",
    "messaging.relay_leases.FAIL": "messaging/test_kafka.py; a figure for people, one statement",
    "messaging.relay_leases.ENSURE": "messaging/test_cdc.py; one row that changes nothing",
    "messaging.relay_leases.HOLD_WAY": "messaging/test_cdc.py; a handover that is interrupted",
    "messaging.relay_leases.CHANGE_WAY": "messaging/test_debezium.py; a handover under load",
    "messaging.cdc.outbox.WRITE": "messaging/test_cdc.py; in the commit of relay_leases.SETTLE",
    "messaging.relay_leases.COUNT_PENDING": "messaging/test_cdc.py; in the commit of WRITE",
    "messaging.relay_leases.COUNT_CLEARED": "messaging/test_debezium.py; the end of CLEAR",
    "messaging.cdc.outbox.CLEAR": "messaging/test_debezium.py; one statement, behind the slot",
    "messaging.relay_leases.MARK": "messaging/test_debezium.py; one statement, before CLEAR",
    "messaging.cdc.outbox.EMPTY": "messaging/test_debezium.py; in the commit of a handover",
    "messaging.relay_leases.NONE_PENDING": "messaging/test_debezium.py; as EMPTY",
    "messaging.cdc.outbox.AGAIN": "messaging/test_debezium.py; a slot that is dropped",
    "messaging.relay_leases.UNMARK": "messaging/test_debezium.py; in the commit of AGAIN",
    "outbox.parked.COPIED": "messaging/test_consumers.py; after the broker has the copy",
    "messaging.consumers.intake.NOTE_ENDS": "messaging/test_watching.py; figures for people",
    "messaging.consumers.intake.NOTE_LENGTH": "messaging/test_watching.py; as NOTE_ENDS",
    "log.append.APPEND_ON_CONDITION": "test_append.py; one statement, as AnAppend",
    "operations.metrics.TAKE": "test_metrics.py; figures for people, one statement",
    "operations.metrics.FORGET": "test_metrics.py; as TAKE",
    "projections.rebuild.records.TURN_BACK": ("test_rebuild.py; in the transaction of a roll back"),
    "projections.rebuild.records.SAVE_DIFFERENCES": (
        "test_rebuild.py; what a comparison has found, for people"
    ),
    "effects.sandbox.ENTER": "payments/test_sandbox.py; it is the provider's",
    "projections.rebuild.records.WAIT": (
        "test_rebuild.py; who is in the way of a swap, for people"
    ),
    "delivery.heartbeats.SIGN_OFF": "workers/test_signing_off.py; one statement at an end in order",
    "projections.rebuild.records.WANT_SWAP": "test_rebuild.py; a person's wish, one statement",
    "webhooks.endpoints.REGISTER": "webhooks/test_api.py; one statement, with the stored response",
    "webhooks.endpoints.CHANGE": "webhooks/test_api.py; as REGISTER",
    "webhooks.endpoints.ROTATE": "webhooks/test_api.py; as REGISTER",
    "webhooks.endpoints.DISABLE": "webhooks/test_api.py; as REGISTER",
    "webhooks.endpoints.ENABLE": "webhooks/test_api.py; as REGISTER",
    "webhooks.endpoints.DELETE": "webhooks/test_api.py; as REGISTER",
    "webhooks.endpoints.DISABLE_OF_OWNERS": "webhooks/test_enqueueing.py; again in a minute",
    "webhooks.endpoints.TELL": "webhooks/test_sending.py; after the mail, which may be sent twice",
    "webhooks.deliveries.STORE_MESSAGES": "webhooks/test_enqueueing.py; as AProjection",
    "webhooks.deliveries.ADD": "webhooks/test_enqueueing.py; as STORE_MESSAGES",
    "webhooks.deliveries.CLAIM": "webhooks/test_sending.py; kill -9 after it",
    "webhooks.deliveries.SETTLE": "webhooks/test_sending.py; kill -9 before and after it",
    "webhooks.deliveries.RECORD_ATTEMPT": "webhooks/test_sending.py; as SETTLE",
    "webhooks.endpoints.NOTE_FAILURE": "webhooks/test_sending.py; as SETTLE",
    "webhooks.deliveries.RECORD_SUCCESSES": "webhooks/test_sending.py; as SETTLE",
    "webhooks.deliveries.SEND_AGAIN": "webhooks/test_sending.py; a person's wish, with QUEUE_ONE",
    "webhooks.endpoints.QUEUE_ONE": "webhooks/test_sending.py; in the transaction of SEND_AGAIN",
    "webhooks.deliveries.GIVE_UP": "webhooks/test_sending.py; again in a minute",
    "webhooks.deliveries.FORGET_DELIVERIES": "webhooks/test_sending.py; as GIVE_UP",
    "webhooks.deliveries.FORGET_MESSAGES": "webhooks/test_sending.py; as GIVE_UP",
    "webhooks.deliveries.PURGE_DELIVERIES": "webhooks/test_sending.py; as GIVE_UP",
    "webhooks.endpoints.COUNT_QUEUED": "webhooks/test_enqueueing.py; the end of ADD",
    "webhooks.endpoints.NOTE_SUCCESSES": "webhooks/test_sending.py; part of RECORD_SUCCESSES",
    "webhooks.endpoints.NOTE_SERVED": "webhooks/test_sending.py; part of CLAIM",
    "webhooks.endpoints.COUNT_GIVEN_UP": "webhooks/test_sending.py; the end of GIVE_UP",
    "webhooks.endpoints.PURGE": "webhooks/test_sending.py; as GIVE_UP",
    "outbox.parked.PARK_AGAIN": "test_rebuild.py; in the transaction of the swap",
}


def begin(story, toys):
    empty()
    toys(story.subscriptions, AGGREGATES=story.aggregates)
    story.before()
