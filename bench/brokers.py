"""make bench-brokers: how fast relays publish to brokers of their own; one JSON line.

kafka_per_s, kafka_exactly_once_per_s, rabbitmq_per_s: from the log into the broker, while one
relay catches up. consumer_per_s: from Kafka to a handler, through the inbox and the outbox, with
one reader as manage.py consume has it. reconcile_per_s: messages that manage.py reconcile_broker
compares; reconcile_vs_count: divided by the rate of a bare consumer of the same topic that only
counts; reconcile_rabbitmq_per_s: the same of a queue. idle_p50_ms: from the commit to a consumer's
poll, on an idle Kafka. vs_debezium: the rate of the relay divided by that of Debezium, with the
same orders (bench.cdc).

A figure that cannot be measured here is null, and "not_measured" says why. The bench fails where
messages do not arrive.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from types import ModuleType

import django
from django.conf import settings

from bench import comparing

EVENTS, COMPARED, LONE = 40_000, 250_000, 60
# Events of each counter.
EACH = 200
PATIENCE_SECONDS = 120
OF_KAFKA = (
    "kafka_per_s",
    "kafka_exactly_once_per_s",
    "idle_p50_ms",
    "consumer_per_s",
    "reconcile_per_s",
    "reconcile_vs_count",
)
OF_RABBITMQ = ("rabbitmq_per_s", "reconcile_rabbitmq_per_s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--compared", type=int, default=COMPARED, help="events of a comparison")
    parser.add_argument("--lone", type=int, default=LONE)
    parser.add_argument("--no-debezium", action="store_true", help="leave vs_debezium out")
    options = parser.parse_args()
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
            figures = measure(options, wired, found.settings)
        finally:
            processes.kill(found.running)
            processes.stop(found.running, folder.pids(path))
    figures |= debezium(options)
    print(json.dumps(figures | {"not_measured": why_not(figures, options, found.settings)}))


def why_not(figures, options, addresses):
    """figure -> why it is null; the same on standard error."""
    from tools.devserver import brokers, connect

    reasons = {}
    for kind, wanted in (("kafka", OF_KAFKA), ("rabbitmq", OF_RABBITMQ)):
        if brokers.SETTINGS[kind] not in addresses:
            absent = brokers.KINDS[kind].missing() or "a broker of its own"
            reasons |= dict.fromkeys(wanted, f"{kind} needs {absent}")
    if figures["vs_debezium"] is None:
        why = "left out" if options.no_debezium else f"Debezium needs {connect.missing()}"
        reasons["vs_debezium"] = why
    for name, why in reasons.items():
        print(f"{name} is not measured: {why}", file=sys.stderr)
    return reasons


def measure(options, wired, addresses):
    from tools.devserver.environment import KAFKA, RABBITMQ

    figures = dict.fromkeys((*OF_KAFKA, *OF_RABBITMQ))
    fill(0, options.events)
    if address := addresses.get(KAFKA):
        kafka = {
            "TRANSPORT": "eventstore.messaging.kafka.Kafka",
            "client": {"bootstrap.servers": address},
        }
        figures["kafka_per_s"] = rate(
            options, wired, "atleastonce", "kafka", kafka | {"transactions": False}
        )
        figures["kafka_exactly_once_per_s"] = rate(options, wired, "exactlyonce", "kafka", kafka)
        figures["idle_p50_ms"] = idle(options, "exactlyonce", address)
        figures["consumer_per_s"] = consume(options, wired, "exactlyonce", "kafka", kafka)
    if address := addresses.get(RABBITMQ):
        rabbitmq = {"TRANSPORT": "eventstore.messaging.rabbitmq.RabbitMQ", "url": address}
        figures["rabbitmq_per_s"] = rate(options, wired, "rabbit", "rabbitmq", rabbitmq)
        rate(options, wired, "tapped", "rabbitmq", rabbitmq, tapped=True)
        figures["reconcile_rabbitmq_per_s"] = round(comparing.rate("tapped.published@rabbitmq"))
    if addresses.get(KAFKA):
        name = wire(wired, "exactlyonce", "kafka", kafka)
        fill(options.events, options.compared)
        catch_up(name)
        per_s, ratio = comparing.beside_a_count(name, kafka["client"])
        figures |= {"reconcile_per_s": round(per_s), "reconcile_vs_count": round(ratio, 2)}
    return figures


def fill(first, end):
    """Events of that number, a few of each counter."""
    from eventstore.log import ANY, append
    from tests.eventstore.toy import Counted

    for start in range(first, end, EACH):
        counter = f"c{start // EACH}"
        numbers = range(start, min(start + EACH, end))
        append(f"counter-{counter}", [Counted(counter, n) for n in numbers], expected=ANY)


def rate(options, wired, context, broker, of_broker, *, tapped=False):
    """Messages a second into the broker, behind the first batch, whose client is new. tapped: a
    queue keeps them to be compared."""
    from eventstore.messaging import brokers, reconcile, relay
    from eventstore.outbox import cursors

    name = wire(wired, context, broker, of_broker)
    brokers.administration(broker).create(relay.published_by(broker), tap=not tapped)
    if tapped:
        reconcile.declare_tap(name)
    cursors.ensure_cursors()
    first, moved, seconds = catch_up(name)
    if not moved:
        sys.exit(f"bench.brokers: {first} messages are one batch and no rate: --events more")
    return round(moved / seconds)


def catch_up(name):
    """Messages of the first batch and of the others, and the seconds for those."""
    from eventstore import registry
    from eventstore.messaging import relay
    from eventstore.outbox import cursors

    subscription, moved = registry.subscriptions()[name], 0
    first = began = 0
    end = time.monotonic() + PATIENCE_SECONDS
    while cursors.is_far_behind(name, 0) or relay.this_process.under_way():
        found = relay.this_process.step(name, subscription)
        if first:
            moved += found
        elif found:
            first, began = found, time.perf_counter()
        if time.monotonic() > end:
            sys.exit(f"bench.brokers: {name} published {first + moved} messages only")
        relay.this_process.wait(0.01)
    seconds = time.perf_counter() - began
    return first, moved + relay.this_process.step(name, subscription), seconds


def wire(wired, context, broker, options):
    """Returns the name of the relay."""
    from eventstore.messaging import relay
    from tests.eventstore import toy
    from tests.eventstore.conftest import forget_wiring
    from tests.messaging import world

    relay.this_process.stop()
    settings.EVENTSTORE_BROKERS = {broker: options}
    names, parts = world.parts(context, broker)
    vars(wired).update(parts | {"SUBSCRIPTIONS": toy.SUBSCRIPTIONS | parts["SUBSCRIPTIONS"]})
    forget_wiring()
    return names.relays[0]


def consume(options, wired, context, broker, of_broker):
    """Messages a second, from the first one that is handled."""
    from eventstore.delivery import readers
    from eventstore.messaging import relay
    from eventstore.outbox import cursors
    from tests.eventstore import toy
    from tests.eventstore.conftest import forget_wiring
    from tests.messaging import consuming

    relay.this_process.stop()
    times, wanted = [], options.events + options.lone
    settings.EVENTSTORE_BROKERS = {broker: of_broker}
    handle = {f"{context}.*": lambda _: times.append(time.monotonic())}
    names, parts = consuming.parts(context, broker, handle)
    vars(wired).update(parts | {"SUBSCRIPTIONS": toy.SUBSCRIPTIONS | parts["SUBSCRIPTIONS"]})
    forget_wiring()
    cursors.ensure_cursors()
    (reader,) = readers.readers([names.consumer])
    reader.start()
    end = time.monotonic() + PATIENCE_SECONDS
    while len(times) < wanted and time.monotonic() < end:
        time.sleep(0.05)
    reader.stop()
    reader.join()
    if len(times) < wanted:
        sys.exit(f"bench.brokers: the consumer handled {len(times)} of {wanted} messages")
    return round((len(times) - 1) / (times[-1] - times[0]))


def idle(options, context, address):
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
    for n in range(options.lone):
        began = time.perf_counter()
        append(f"counter-lone{n}", [Counted(f"lone{n}", n)], expected=ANY)
        threading.Thread(target=relay.this_process.step, args=[name, subscription]).start()
        end = began + 5
        while time.perf_counter() < end:
            message = consumer.poll(0.005)
            if message is not None and message.error() is None:
                times.append((time.perf_counter() - began) * 1000)
                break
        else:
            sys.exit("bench.brokers: a message to an idle Kafka did not arrive within 5 s")
        time.sleep(0.05)
    consumer.close()
    return round(statistics.median(times), 1)


def debezium(options):
    """In a process and a database of its own: the wiring is the shop's."""
    from tools.devserver import connect

    if options.no_debezium or connect.missing():
        return {"vs_debezium": None}
    run = ["-m", "tools.devserver", "exec", "--", sys.executable, "-W", "ignore", "-m", "bench.cdc"]
    ours = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "EVENTSTORE_WAKE_WORKERS")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, *run], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return {"vs_debezium": round(found["relay_per_s"] / found["debezium_per_s"], 2)}


if __name__ == "__main__":
    main()
