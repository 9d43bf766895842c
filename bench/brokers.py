"""make bench-brokers: how fast relays publish to brokers of their own; one JSON line.

kafka_per_s, kafka_exactly_once_per_s, rabbitmq_per_s: from the log into the broker, while one
relay catches up. consumer_per_s: from Kafka to a handler, with one reader. idle_p50_ms: from the
commit to a consumer's poll, on an idle Kafka.
"""

import json
import os
import statistics
import sys
import threading
import time
from types import ModuleType

import django
from django.conf import settings

EVENTS, COUNTERS, LONE = 40_000, 200, 60


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("EVENTSTORE_WAKE_WORKERS", "0")
    wired = ModuleType("bench.wired_brokers")
    sys.modules[wired.__name__] = wired
    settings.EVENTSTORE_WIRING = wired.__name__
    django.setup()
    from django.core.management import call_command

    from tests.eventstore import toy
    from tools.devserver import account, brokers, folder, processes, services

    vars(wired).update({name: getattr(toy, name) for name in dir(toy) if name.isupper()})
    call_command("migrate", verbosity=0)
    found = services.Services()
    with folder.throwaway() as path:
        try:
            account.home(path, account.of_services())
            brokers.start(path, list(brokers.KINDS), found)
            print(json.dumps(measure(wired, found.settings)))
        finally:
            processes.kill(found.running)
            processes.stop(found.running, folder.pids(path))


def measure(wired, addresses):
    from tools.devserver.environment import KAFKA, RABBITMQ

    fill()
    figures = dict.fromkeys(
        (
            *("kafka_per_s", "kafka_exactly_once_per_s", "rabbitmq_per_s"),
            *("consumer_per_s", "idle_p50_ms"),
        )
    )
    if address := addresses.get(KAFKA):
        kafka = {
            "TRANSPORT": "eventstore.messaging.kafka.Kafka",
            "client": {"bootstrap.servers": address},
        }
        figures["kafka_per_s"] = rate(
            wired, "atleastonce", "kafka", kafka | {"transactions": False}
        )
        figures["kafka_exactly_once_per_s"] = rate(wired, "exactlyonce", "kafka", kafka)
        figures["idle_p50_ms"] = idle("exactlyonce", address)
        figures["consumer_per_s"] = consume(wired, "exactlyonce", "kafka", kafka)
    if address := addresses.get(RABBITMQ):
        rabbitmq = {"TRANSPORT": "eventstore.messaging.rabbitmq.RabbitMQ", "url": address}
        figures["rabbitmq_per_s"] = rate(wired, "rabbit", "rabbitmq", rabbitmq)
    return figures


def fill():
    from eventstore.log import ANY, append
    from tests.eventstore.toy import Counted

    each = EVENTS // COUNTERS
    for n in range(COUNTERS):
        append(f"counter-c{n}", [Counted(f"c{n}", i) for i in range(each)], expected=ANY)


def rate(wired, context, broker, options):
    from eventstore import registry
    from eventstore.messaging import brokers, relay
    from eventstore.outbox import cursors

    relay.this_process.stop()
    name = wire(wired, context, broker, options)
    brokers.administration(broker).create(relay.published_by(broker), tap=True)
    cursors.ensure_cursors()
    subscription = registry.subscriptions()[name]
    first = relay.this_process.step(name, subscription)
    while not first:  # a new client takes a second or two, once
        relay.this_process.wait(0.01)
        first = relay.this_process.step(name, subscription)
    began, moved = time.perf_counter(), first
    while moved < EVENTS and time.perf_counter() - began < 120:
        relay.this_process.wait(0.01)
        moved += relay.this_process.step(name, subscription)
    return round((moved - first) / (time.perf_counter() - began))


def wire(wired, context, broker, options):
    from tests.eventstore import toy
    from tests.eventstore.conftest import forget_wiring
    from tests.messaging import world

    settings.EVENTSTORE_BROKERS = {broker: options}
    names, parts = world.parts(context, broker)
    vars(wired).update(parts | {"SUBSCRIPTIONS": toy.SUBSCRIPTIONS | parts["SUBSCRIPTIONS"]})
    forget_wiring()
    return names.relays[0]


def consume(wired, context, broker, options):
    """Messages a second, from the first one that is handled."""
    from eventstore.delivery import readers
    from eventstore.messaging import relay
    from eventstore.outbox import cursors
    from tests.eventstore import toy
    from tests.eventstore.conftest import forget_wiring
    from tests.messaging import consuming

    relay.this_process.stop()
    times = []
    settings.EVENTSTORE_BROKERS = {broker: options}
    handle = {f"{context}.*": lambda _: times.append(time.monotonic())}
    names, parts = consuming.parts(context, broker, handle)
    vars(wired).update(parts | {"SUBSCRIPTIONS": toy.SUBSCRIPTIONS | parts["SUBSCRIPTIONS"]})
    forget_wiring()
    cursors.ensure_cursors()
    (reader,) = readers.readers([names.consumer])
    reader.start()
    end = time.monotonic() + 120
    while len(times) < EVENTS and time.monotonic() < end:
        time.sleep(0.05)
    reader.stop()
    reader.join()
    return round((len(times) - 1) / (times[-1] - times[0])) if times[1:] else None


def idle(context, address):
    """Milliseconds from before the append to a consumer's poll."""
    from confluent_kafka import Consumer

    from eventstore import registry
    from eventstore.log import ANY, append
    from eventstore.messaging import relay
    from tests.eventstore.toy import Counted

    name = f"{context}.published@kafka"
    subscription = registry.subscriptions()[name]
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "bench",
            "auto.offset.reset": "latest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.subscribe([f"events.{context}"])
    while not consumer.assignment():
        consumer.poll(0.1)
    time.sleep(1)
    times = []
    for n in range(LONE):
        began = time.perf_counter()
        append(f"counter-lone{n}", [Counted(f"lone{n}", n)], expected=ANY)
        threading.Thread(target=relay.this_process.step, args=[name, subscription]).start()
        end = began + 5
        while time.perf_counter() < end:
            message = consumer.poll(0.005)
            if message is not None and message.error() is None:
                times.append((time.perf_counter() - began) * 1000)
                break
        time.sleep(0.05)
    consumer.close()
    return round(statistics.median(times), 1) if times else None


if __name__ == "__main__":
    main()
