"""make bench-cdc: the relay and Debezium side by side, with the shop's own orders; one JSON line.

relay_per_s, debezium_per_s: messages a second into Kafka, from the first to the last arrival, while
one publication catches up with the log. relay_p50_ms, debezium_p50_ms: from before the append to a
consumer's poll, on an idle Kafka. relay_cpu_s, debezium_cpu_s: of the processes between log and
Kafka for all of it, without PostgreSQL and Kafka; Debezium's are the process that fills the outbox
and Kafka Connect. compared, different: messages of the relay, and those that Debezium has not
sent with the same value, headers, key, partition and place in it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import zip_longest

import psutil

ORDERS, LONE = 20_000, 60
RELAY = "orders.published@kafka"
TOPIC = "events.orders"
WHY = {"who": "bench", "reason": "make bench-cdc"}
PATIENCE_SECONDS = 300


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--lone", type=int, default=LONE)
    options = parser.parse_args()
    from tools.devserver import connect, folder, kafka, processes
    from tools.devserver.environment import CDC_SLOT, DATABASE, KAFKA

    if absent := connect.missing():
        sys.exit(f"bench.cdc needs {absent}")
    running = []
    with folder.throwaway() as path:
        try:
            address = start(kafka, path, running)
            os.environ |= {KAFKA: address, CDC_SLOT: "bench_cdc"}
            shop()
            worker = connect.Connect(address, os.environ[DATABASE], "bench_cdc")
            try:
                figures = measure(options, worker, path, running)
            finally:
                processes.kill(running)
                drop_slot()
            print(json.dumps(figures))
        finally:
            processes.kill(running)
            processes.stop(running, folder.pids(path))


def start(kind, path, running):
    """Returns its address."""
    from tools.devserver import account, services

    owner = account.of_services()
    home = account.home(path, owner)
    port = services.start(kind, path, home, owner, running)
    return kind.url(home, port) if hasattr(kind, "url") else f"http://127.0.0.1:{port}"


def shop():
    """An empty one, with the topics that it needs."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from eventstore.outbox import cursors

    call_command("migrate", verbosity=0)
    call_command("brokers", create=True, stdout=sys.stderr)
    cursors.ensure_cursors()


def measure(options, worker, path, running):
    from eventstore.messaging.cdc import ways
    from eventstore.operations import cdc, control, handover
    from tools.devserver import connect

    fill(options.orders)
    by_relay, relay = carried(2 * options.orders, options.lone)
    address = start(worker, path, running)
    cdc.create(**WHY)
    connect.post(address)
    handover.hand_over(RELAY, ways.CDC, **WHY)
    control.reset(RELAY, 0, **WHY)
    java = running[-1].process.pid
    by_debezium, debezium = carried(len(by_relay), options.lone, java)
    pairs = list(pairs_of(by_relay, by_debezium))
    return {
        "relay_per_s": relay["per_s"],
        "debezium_per_s": debezium["per_s"],
        "relay_p50_ms": relay["p50_ms"],
        "debezium_p50_ms": debezium["p50_ms"],
        "relay_cpu_s": relay["cpu_s"],
        "debezium_cpu_s": debezium["cpu_s"],
        "compared": len(pairs),
        "different": sum(ours != its for ours, its in pairs),
    }


def pairs_of(by_relay, by_debezium):
    """Each message of the relay with the one that Debezium has sent in its place: the next of its
    partition. None where one of them is missing; behind them Debezium has sent others."""
    ours, its = by_partition(by_relay), by_partition(by_debezium)
    for partition in sorted({*ours, *its}):
        sent, again = ours.get(partition, []), its.get(partition, [])
        yield from zip_longest(sent, again[: len(sent)])


def by_partition(messages):
    found = {}
    for partition, *message in messages:
        found.setdefault(partition, []).append(message)
    return found


def fill(orders):
    from eventstore.log import NO_STREAM, append_all

    for start_ in range(0, orders, 500):
        some = range(start_, min(start_ + 500, orders))
        append_all({f"order-b{n:06}": (NO_STREAM, [placed(f"b{n:06}")]) for n in some})


def placed(order):
    from eventstore.money import Money
    from orders.events import OrderLine, OrderPlaced
    from shipping.commands import Address

    line = OrderLine(sku="TEA-EARL-GREY", name="Earl Grey", quantity=2, unit_price=450)
    return OrderPlaced(
        order_id=order,
        customer_id="ada",
        lines=(line,),
        charges=(),
        total=Money(900, "EUR"),
        address=Address("Ada", "12 St James Square", "London", "SW1Y 4JH", "GB"),
        payment_method="tok_visa",
        placed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def carried(wanted, lone_orders, *pids):
    """What comes into the topic, and the figures: first the publication catches up with as many
    messages as are wanted, then come single orders. pids: processes that work for it beside
    manage.py relay."""
    with Reader() as reader, relaying() as process:
        watched = [psutil.Process(each) for each in (process.pid, *pids)]
        before = sum(map(cpu, watched))
        until(lambda: len(reader.messages) >= wanted)
        spent = sum(map(cpu, watched)) - before
        times = reader.times[:wanted]
        delays = [lone(reader, number) for number in range(lone_orders)]
    return reader.messages, {
        "per_s": round(wanted / (times[-1] - times[0])),
        "p50_ms": round(statistics.median(delays), 1),
        "cpu_s": round(spent, 1),
    }


def lone(reader, number):
    """Milliseconds of one order on its own."""
    from eventstore.log import ANY, append
    from eventstore.outbox import wakeup

    time.sleep(0.1)
    seen, began = len(reader.messages), time.monotonic()
    append(f"order-lone{number}-{began}", [placed(f"lone{number}")], expected=ANY)
    wakeup.wake_relays()
    until(lambda: len(reader.messages) >= seen + 2)
    return (reader.times[seen + 1] - began) * 1000


class Reader:
    """Reads what comes into the topic from now on. times: by time.monotonic()."""

    def __init__(self):
        from confluent_kafka import Consumer

        self.messages, self.times = [], []
        self.consumer = Consumer(
            {
                "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
                "group.id": f"bench-{time.monotonic()}",
                "auto.offset.reset": "latest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 5,
            }
        )
        self.stopping = False
        self.thread = threading.Thread(target=self.read, daemon=True)

    def __enter__(self):
        self.consumer.subscribe([TOPIC])
        until(lambda: self.consumer.poll(0.1) or self.consumer.assignment())
        time.sleep(1)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        self.consumer.close()

    def read(self):
        while not self.stopping:
            for each in self.consumer.consume(2000, timeout=0.002):
                if each.error() is None:
                    self.messages.append(
                        (each.partition(), each.key(), each.value(), tuple(each.headers()))
                    )
                    self.times.append(time.monotonic())


@contextmanager
def relaying():
    """The process that carries the publication, by either way."""
    process = subprocess.Popen([sys.executable, "manage.py", "relay"])
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def cpu(process):
    times = process.cpu_times()
    return times.user + times.system


def until(condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            sys.exit("bench.cdc: it has not come to that in time")
        time.sleep(0.002)


def drop_slot():
    """Once PostgreSQL knows that its reader is dead."""
    from eventstore.messaging.cdc import slots
    from eventstore.operations import cdc

    until(lambda: not (found := slots.state("bench_cdc")) or not found.is_active)
    cdc.drop(force=True, **WHY)


if __name__ == "__main__":
    main()
