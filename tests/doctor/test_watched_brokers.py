"""What the doctor says of relays and consumers, and when it says nothing."""

from contextlib import ExitStack

import pytest

from eventstore.delivery import heartbeats
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Partition, Seen
from eventstore.messaging.transport import BrokerState, BrokerUnreachable, QueueState
from eventstore.operations import doctor
from eventstore.operations.doctor import consumers, relays, subscriptions, workers
from eventstore.postgres import execute
from tools.verification.doctor import faults

pytestmark = pytest.mark.django_db(transaction=True)
ENDS = {("events.doctor", 0): 12}


@pytest.fixture
def reader():
    """reader(**options) is a consumer of Kafka that has read up to offset 10."""
    with ExitStack() as stack:
        heartbeats.forget_own()
        yield lambda **options: stack.enter_context(faults._reader(**options))
    heartbeats.forget_own()


def findings(state=None, pause=lambda seconds: None, **parts):
    def answer(broker, offsets):
        return BrokerState(**parts)

    limits = doctor.Limits()
    at_broker = relays.topics(limits, state=state or answer, pause=pause)
    return [*at_broker, *consumers.offsets(limits)]


def checks(*args, **options):
    return [each.check for each in findings(*args, **options)]


def test_a_relay_that_says_why_it_publishes_nothing_is_no_dead_subscription():
    limits = doctor.Limits()
    faults.send_heartbeats()
    with faults._dead_subscription():
        (dead,) = subscriptions.dead_subscriptions(limits)
        name = dead.culprit.partition(" ")[0]
        execute(
            "INSERT INTO eventstore_relay (name, token, settled, holder, until, error, failed_at)"
            " VALUES (%s, 1, 0, 'here', now(), 'BrokerUnreachable: x', now() - interval '1 hour')",
            [name],
        ).close()
        assert list(subscriptions.dead_subscriptions(limits)) == []
        assert [each.check for each in relays.relays(limits)] == ["relay"]
    heartbeats.forget_own()


@pytest.mark.parametrize(
    ("age", "said"),
    [
        ("0", None),
        ("60", None),
        ("200", "Celery beat has sent no heartbeat for 200 s."),
        (None, "Celery beat has sent no heartbeat."),
    ],
)
def test_a_late_beat_is_a_finding_after_two_minutes(age, said):
    if age is not None:
        execute(
            "INSERT INTO eventstore_heartbeat (kind, name, backend, at)"
            " VALUES ('beat', '', 0, now() - make_interval(secs => %s::integer))",
            [age],
        ).close()
    assert [each.what for each in workers.missing_beat(doctor.Limits())] == [said] * bool(said)


def test_a_consumer_that_has_read_everything_is_no_finding(reader):
    reader(reached=12)
    assert checks(ends=ENDS, queues={}) == []


def test_marks_of_transactions_are_no_messages(reader):
    reader()
    assert checks(ends=ENDS) == ["deaf-consumer"]
    intake.note_ends(faults.READER, {Partition("events.doctor", 0): Seen(reached=12, end=12)})
    assert checks(ends=ENDS) == []


def test_a_consumer_that_is_paused_leaves_messages_with_the_broker(reader):
    reader()
    execute(
        "INSERT INTO eventstore_subscription (name, paused) VALUES ('doctor.reader', true)"
    ).close()
    assert checks(ends=ENDS) == []


def test_the_first_message_after_a_long_time_is_no_finding(reader):
    """The reader takes it while the doctor looks again."""
    reader()

    def store(seconds):
        execute("UPDATE eventstore_consumer_offset SET next = 11").close()

    assert checks(ends={("events.doctor", 0): 11}, pause=store) == []


def test_a_broker_that_does_not_answer_is_one_finding(reader):
    reader(is_heard=False)

    def away(broker, offsets):
        raise BrokerUnreachable("refused")

    assert checks(away) == ["broker-unreachable"]


def test_without_a_broker_there_is_no_finding(reader, settings):
    reader(is_heard=False)
    settings.EVENTSTORE_BROKERS = {}
    assert checks() == []


def test_an_empty_queue_without_readers_is_no_finding_while_a_process_is_heard(reader):
    reader()
    assert checks(queues={faults.READER: QueueState(0, 0)}) == []
    (deaf,) = findings(queues={faults.READER: QueueState(3, 0)})
    assert "the queue doctor.reader: 3 messages wait" in deaf.what
    assert deaf.mend == "manage.py consume doctor.reader"


def test_a_hole_is_said_from_where_to_where_with_the_commands_that_mend_it(reader):
    reader(found=15)
    (hole,) = findings()
    assert "events.doctor/0 no longer has the offsets 10 to 14" in hole.what
    assert "manage.py consumers seek doctor.reader events.doctor 0 15 --reason" in hole.mend


def test_a_topic_that_was_made_again_is_not_taken_for_a_hole(reader):
    reader(found=0)
    (ahead,) = findings()
    assert ahead.check == "consumer-ahead"
    assert "manage.py consumers seek doctor.reader events.doctor 0 0 --reason" in ahead.mend


def test_a_broker_that_knows_more_than_the_log_is_a_finding(reader):
    reader()
    assert checks(newest={"orders.published@kafka": 0}) == []
    (ahead,) = findings(newest={"orders.published@kafka": 10**12})
    assert ahead.check == "broker-ahead"
    assert "orders.published@kafka has published position 1000000000000" in ahead.what


def test_what_a_consumer_waits_for_until_it_is_created_is_said_once(reader):
    reader(is_heard=False)
    assert checks(missing=["events.doctor"]) == ["topic-missing"]
    assert checks(missing=["events.other"]) == ["topic-missing", "deaf-consumer"]
