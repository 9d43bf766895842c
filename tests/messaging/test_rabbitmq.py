"""Relays to a real RabbitMQ: at least once, in order per key; what no queue takes is named."""

import json
import signal
import subprocess
import threading

import pytest

from eventstore.log import ANY, append
from eventstore.messaging import rabbitmq
from eventstore.models import Parked, RelayLease, Subscription
from tests.eventstore.toy import Counted

from .conftest import LONG, count, delivered, expected, only_long, queue_on, settled, until

pytestmark = [pytest.mark.django_db(transaction=True)]


def amounts(messages):
    found = {}
    for message in messages:
        found.setdefault(message.headers["ce-partitionkey"], []).append(
            json.loads(message.body)["amount"]
        )
    return found


def test_events_arrive_in_order_with_all_properties(to_rabbitmq, rabbitmq_server):
    of = to_rabbitmq()
    with queue_on(rabbitmq_server, "domain-events", f"events.{of.context}.#") as messages:
        count(50)
        settled(of.name)
        found = messages()
    assert amounts(found) == expected(50)
    first = found[0]
    assert first.delivery_info["routing_key"] == f"events.{of.type}"
    assert first.properties["delivery_mode"] == 2
    assert first.properties["message_id"] == first.headers["ce-id"] == first.headers["event-id"]
    assert first.headers["ce-type"] == of.type


def test_of_five_hundred_the_one_without_a_queue_is_named(
    to_rabbitmq, rabbitmq_server, monkeypatch
):
    of = to_rabbitmq()
    with queue_on(rabbitmq_server, "domain-events", f"events.{of.type}") as messages:
        count(300)
        append("counter-lost", [Counted("lost", 301)], expected=ANY)
        count(199, first=302)
        misroute(monkeypatch, "lost")
        settled(of.name)
        found = messages()
    parked = Parked.objects.get(subscription=of.name)
    assert parked.key == "counter-lost"
    assert f"no queue is bound to nowhere.{of.type} of domain-events" in parked.error
    assert len(found) == 499


def misroute(monkeypatch, key):
    prepare = rabbitmq.RabbitMQ.prepare

    def elsewhere(self, envelope):
        prepared = prepare(self, envelope)
        if envelope.subject == f"counter-{key}":
            return prepared._replace(key=prepared.key.replace("events.", "nowhere.", 1))
        return prepared

    monkeypatch.setattr(rabbitmq.RabbitMQ, "prepare", elsewhere)


def test_an_exchange_that_is_missing_is_named(to_rabbitmq, rabbitmq_server, relays):
    options = {"TRANSPORT": "eventstore.messaging.rabbitmq.RabbitMQ"}
    options |= {"url": rabbitmq_server.address, "exchange": "not-there"}
    of = relays("rabbitmq", options, create=False)
    count(5)
    until(lambda: delivered() and RelayLease.objects.filter(pk=of.name).exclude(error="").exists())
    error = RelayLease.objects.get(pk=of.name).error
    assert "TopicMissing" in error
    assert "manage.py brokers --create" in error
    assert Subscription.objects.get(pk=of.name).position == 0


def test_an_oversized_message_is_parked_alone(to_rabbitmq, rabbitmq_server):
    of = to_rabbitmq(max_message_bytes=5_000)
    with queue_on(rabbitmq_server, "domain-events", f"events.{of.context}.#") as messages:
        append("counter-a", [Counted("a", 1), Counted("a", 2, "x" * 6_000)], expected=ANY)
        append("counter-b", [Counted("b", 3)], expected=ANY)
        settled(of.name)
        assert amounts(messages()) == {"a": [1], "b": [3]}
    assert Parked.objects.get(subscription=of.name).status == "dead"


@pytest.mark.parametrize(
    "kind", ["direct", *(pytest.param(kind, marks=only_long) for kind in ("fanout", "headers"))]
)
def test_other_kinds_of_exchange_route_as_they_do(to_rabbitmq, rabbitmq_server, kind):
    exchange = f"domain-events-{kind}"
    of = to_rabbitmq(exchange=exchange, exchange_type=kind)
    key = f"events.{of.type}" if kind == "direct" else ""
    with queue_on(rabbitmq_server, exchange, key) as messages:
        count(10)
        settled(of.name)
        assert amounts(messages()) == expected(10)


def test_killed_in_the_middle_all_that_was_confirmed_is_there(to_rabbitmq, rabbitmq_server):
    of = to_rabbitmq()
    number = 10_000 if LONG else 3_000
    with queue_on(rabbitmq_server, "domain-events", f"events.{of.context}.#") as messages:
        count(number)
        kill = threading.Timer(0.3, rabbitmq_server.signal, [signal.SIGKILL])
        kill.start()
        until(lambda: delivered() and not kill.is_alive())
        kill.join()
        rabbitmq_server.start_again()
        settled(of.name)
        found = messages()
    ids = [each.headers["ce-id"] for each in found]
    assert len(set(ids)) == number
    firsts = list(dict.fromkeys(ids))
    by_id = {each.headers["ce-id"]: each for each in found}
    assert amounts([by_id[each] for each in firsts]) == expected(number)


def test_a_blocked_broker_is_named_and_nothing_is_passed(to_rabbitmq, rabbitmq_server, monkeypatch):
    monkeypatch.setattr("eventstore.messaging.relay.PUBLISH_SECONDS", 2.0)
    of = to_rabbitmq()
    with queue_on(rabbitmq_server, "domain-events", f"events.{of.context}.#") as messages:
        alarm(rabbitmq_server, "0.000001")
        count(5)
        until(
            lambda: (
                delivered() and RelayLease.objects.filter(pk=of.name).exclude(error="").exists()
            ),
        )
        stands = Subscription.objects.get(pk=of.name).position
        error = RelayLease.objects.get(pk=of.name).error
        alarm(rabbitmq_server, "0.6")
        settled(of.name)
        found = messages()
    assert stands == 0
    assert "BrokerBlocked" in error
    assert len({each.headers["ce-id"] for each in found}) == 5


def alarm(server, share):
    environment = server.running[-1].program.environment
    control = next(server.kind._server().parent.glob("rabbitmqctl"))
    done = subprocess.run(
        [control, "-n", "orders@localhost", "set_vm_memory_high_watermark", share],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        **server.owner.for_popen(),
    )
    assert done.returncode == 0, done.stderr
