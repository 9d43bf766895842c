"""What goes wrong between RabbitMQ and a consumer: nothing is lost, and no effect comes twice. Each
fault is shown to be one by a reader without the protection."""

import signal
import subprocess
import threading
import time

import amqp
import pytest

from eventstore.delivery import readers
from eventstore.messaging import brokers, relay
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers import rabbitmq as consuming
from eventstore.messaging.rabbitmq import administration as connecting
from eventstore.messaging.transport import TopicMissing
from eventstore.models import OutboxMessage
from tests.eventstore.toy import Count
from tests.proxy import Proxy

from . import world
from .conftest import RABBITMQ, connection_to, count, drained, settled, until
from .test_consumers import arrived, echoed, wanted

pytestmark = pytest.mark.django_db(transaction=True)
# After this long nothing more comes to a reader that has none of the protections.
NEVER_SECONDS = 6.0
CONNECTIONS = "list_connections"
# A quorum queue that was declared a moment before kill -9 has no leader after the restart.
WRITTEN_SECONDS = 5.0


@pytest.fixture(autouse=True)
def short_rests(monkeypatch):
    monkeypatch.setattr(readers, "FIRST_REST_SECONDS", 0.05)
    monkeypatch.setattr(readers, "LONGEST_REST_SECONDS", 0.2)


def rabbitmqctl(server, *arguments):
    control = next(server.kind._server().parent.glob("rabbitmqctl"))
    done = subprocess.run(
        [control, "-n", "orders@localhost", *arguments],
        env=server.running[-1].program.environment,
        capture_output=True,
        text=True,
        timeout=60,
        **server.owner.for_popen(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestAnUnknownDeliveryTag:
    """The broker closes the channel."""

    @pytest.fixture
    def acknowledge_wrongly(self, monkeypatch):
        """Once, behind the first batch."""
        wrong, read = [10**6], consuming.RabbitMQSource.read

        def wrongly(self, seconds):
            stored = read(self, seconds)
            if stored and wrong:
                self.channel.basic_ack(wrong.pop())
            return stored

        monkeypatch.setattr(consuming.RabbitMQSource, "read", wrongly)

    def test_reading_goes_on_in_seconds(self, consumers, reading, acknowledge_wrongly):
        of = consumers("rabbitmq")
        reading(of)
        count(10)
        until(lambda: arrived(of, 10))
        count(20, first=11)
        until(lambda: arrived(of, 30), seconds=20)
        assert echoed(of) == wanted(30)

    def test_the_control_that_keeps_its_channel_reads_nothing_more(
        self, consumers, reading, acknowledge_wrongly, monkeypatch
    ):
        monkeypatch.setattr(readers.Reader, "_close", lambda self: None)
        of = consumers("rabbitmq")
        reading(of)
        count(10)
        until(lambda: arrived(of, 10))
        settled(of.name)
        count(20, first=11)
        settled(of.name)
        time.sleep(NEVER_SECONDS)
        assert not arrived(of, 30)


class TestAcknowledgementsInTime:
    """The broker closes channels that acknowledge too late; handlers are slower than that."""

    SECONDS = 2

    @pytest.fixture
    def impatient(self, rabbitmq_server):
        def limit(timeout, tick):
            for name, value in (("consumer_timeout", timeout), ("channel_tick_interval", tick)):
                set_ = f"application:set_env(rabbit, {name}, {value})."
                rabbitmqctl(rabbitmq_server, "eval", set_)

        limit(self.SECONDS * 1000, 500)
        yield
        limit(1_800_000, 60_000)

    def test_a_slow_handler_runs_behind_the_acknowledgement(self, consumers, reading, impatient):
        calls = []

        def slow(envelope):
            calls.append(envelope.id)
            time.sleep(self.SECONDS / 2)
            event = envelope.event
            return [Count(f"{of.context}-{event.counter_id}", event.amount, world.ECHO)]

        of = consumers("rabbitmq", {"*": slow})
        count(6)
        settled(of.name)
        reading(of)
        until(lambda: len(calls) >= 6)
        until(lambda: arrived(of, 6))
        assert echoed(of) == wanted(6)
        assert len(calls) == len(set(calls)) == 6

    def test_the_control_that_handles_before_it_acknowledges_is_closed(
        self, consumers, rabbitmq_server, impatient
    ):
        of = consumers("rabbitmq")
        count(1)
        settled(of.name)
        connection = connection_to(rabbitmq_server)
        connection.connect()
        connection.channel().basic_consume(of.consumer, callback=lambda message: time.sleep(5))
        with pytest.raises(amqp.PreconditionFailed, match="delivery acknowledgement"):
            while True:
                connection.drain_events(timeout=10)
        connection.collect()


class TestAMessageThatCannotBeStored:
    """The broker delivers it again and again, up to the queue's limit."""

    @pytest.fixture
    def unstorable(self, monkeypatch):
        """The number of attempts."""
        attempts = []

        def fail(consumer, queue, messages):
            attempts.append(len(messages))
            raise RuntimeError("not to be stored")

        monkeypatch.setattr(intake, "store_from_queue", fail)
        monkeypatch.setattr(consuming, "DELIVERY_LIMIT", 3)
        return attempts

    def test_is_kept_in_the_dead_letter_queue(
        self, consumers, reading, rabbitmq_server, unstorable
    ):
        of = consumers("rabbitmq")
        reading(of)
        count(1)
        settled(of.name)
        found = []
        until(lambda: found.extend(drained(rabbitmq_server, f"{of.consumer}.dlq")) or found)
        assert found[0].headers["event-type"] == of.type
        assert found[0].headers["x-death"][0]["reason"] == "delivery_limit"
        assert found[0].headers["x-death"][0]["queue"] == of.consumer

    def test_the_control_without_a_dead_letter_exchange_loses_it(
        self, consumers, reading, rabbitmq_server, unstorable, monkeypatch
    ):
        arguments = consuming.queue_arguments

        def without(consumer, exchange):
            found = arguments(consumer, exchange)
            return {name: each for name, each in found.items() if "dead-letter" not in name}

        monkeypatch.setattr(consuming, "queue_arguments", without)
        of = consumers("rabbitmq")
        reader = reading(of)
        count(1)
        settled(of.name)
        until(lambda: len(unstorable) > 3)
        time.sleep(2)
        reader.stop()
        reader.join()
        with connection_to(rabbitmq_server) as connection:
            queues = [of.consumer, f"{of.consumer}.dlq"]
            left = [connection.channel().queue_declare(each, passive=True) for each in queues]
        assert [each.message_count for each in left] == [0, 0]


def test_a_queue_that_is_missing_leaves_no_connection_behind(consumers_by, rabbitmq_server):
    of = consumers_by(
        "rabbitmq", {"TRANSPORT": RABBITMQ, "url": rabbitmq_server.address}, create=False
    )
    (its,) = brokers.readings("rabbitmq")
    with pytest.raises(TopicMissing, match="manage.py brokers --create") as error:
        brokers.source("rabbitmq", its)

    def is_gone():
        return of.consumer not in rabbitmqctl(rabbitmq_server, CONNECTIONS, "client_properties")

    # Sooner than the broker would close it for want of heartbeats.
    until(is_gone, seconds=consuming.HEARTBEAT_SECONDS)
    assert error.value.__traceback__  # it keeps the connection from the garbage collector


class TestABrokerThatIsKilled:
    """With -9, after the first batch is stored and before it is acknowledged."""

    @pytest.fixture
    def killed(self, rabbitmq_server, monkeypatch):
        """An event: it was killed."""
        done, store = threading.Event(), intake.store_from_queue

        def store_and_kill(consumer, queue, messages):
            stored = store(consumer, queue, messages)
            if not done.is_set():
                rabbitmq_server.signal(signal.SIGKILL)
                done.set()
            return stored

        monkeypatch.setattr(intake, "store_from_queue", store_and_kill)
        return done

    def test_nothing_is_lost_and_no_effect_is_doubled(
        self, consumers, reading, rabbitmq_server, killed
    ):
        of = consumers("rabbitmq")
        count(100)
        settled(of.name)
        time.sleep(WRITTEN_SECONDS)
        reading(of)
        until(killed.is_set)
        rabbitmq_server.start_again()
        count(100, first=101)
        until(lambda: arrived(of, 200))
        assert echoed(of) == wanted(200)

    def test_the_control_that_does_not_recognize_repeats_doubles_them(
        self, consumers, reading, rabbitmq_server, killed, monkeypatch
    ):
        blind(monkeypatch)
        of = consumers("rabbitmq")
        count(20)
        settled(of.name)
        time.sleep(WRITTEN_SECONDS)
        reading(of)
        until(killed.is_set)
        rabbitmq_server.start_again()
        until(lambda: OutboxMessage.objects.filter(topic=of.consumer).count() > 20)


def blind(monkeypatch):
    """Each message is new, whatever was stored before."""
    true = intake.arrived
    monkeypatch.setattr(intake, "arrived", lambda each: true(each)._replace(stream="", id=""))


class TestAConnectionThatIsHalfOpen:
    """The network drops all packets. The operating system reports no error to either side."""

    @pytest.fixture
    def through(self, consumers_by, rabbitmq_server, monkeypatch):
        """A consumer behind a proxy, with waits a tenth as long; and the proxy."""
        monkeypatch.setattr(consuming, "SILENT_SECONDS", 1.0)
        monkeypatch.setattr(consuming, "HEARTBEAT_SECONDS", 1)
        monkeypatch.setattr(connecting, "SILENT_SECONDS", 1.0)
        proxy = Proxy("127.0.0.1", rabbitmq_server.port)
        url = rabbitmq_server.address.replace(f":{rabbitmq_server.port}", f":{proxy.port}")
        yield consumers_by("rabbitmq", {"TRANSPORT": RABBITMQ, "url": url}), proxy
        proxy.close()

    def freeze(self, of, proxy):
        """Under a reader that waits for more."""
        count(10)
        until(lambda: arrived(of, 10))
        relay.this_process.stop()
        proxy.freeze()
        count(10, first=11)

    def test_both_sides_notice_it(self, through, reading):
        """The broker too: it gives the queue to the new connection."""
        of, proxy = through
        reading(of)
        self.freeze(of, proxy)
        until(lambda: arrived(of, 20), seconds=20)
        assert echoed(of) == wanted(20)

    def test_ten_times_as_long_is_twenty_seconds(self):
        assert consuming.SILENT_SECONDS + connecting.SILENT_SECONDS <= 20
        assert 2 * consuming.HEARTBEAT_SECONDS <= 20

    @pytest.mark.parametrize("protection", ["SILENT_SECONDS", "HEARTBEAT_SECONDS"])
    def test_the_control_without_one_of_them_waits(self, through, reading, monkeypatch, protection):
        of, proxy = through
        monkeypatch.setattr(consuming, protection, {"SILENT_SECONDS": 1e6}.get(protection, 0))
        # Counting the queue is a round trip as well.
        monkeypatch.setattr(consuming, "COUNT_SECONDS", 1e6)
        reading(of)
        self.freeze(of, proxy)
        settled(of.name)
        time.sleep(NEVER_SECONDS)
        assert not arrived(of, 20)
