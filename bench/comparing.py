"""How fast manage.py reconcile_broker compares a broker with the log, beside a bare consumer."""

import statistics
import sys
import time

ROUNDS = 3


def beside_a_count(name, client):
    """Messages a second of a comparison, and that rate divided by the one of a consumer that only
    counts the same topic; medians of ROUNDS, in turns."""
    rates, ratios = [], []
    for _ in range(ROUNDS):
        counted = count(f"events.{name.partition('.')[0]}", client)
        rates.append(rate(name))
        ratios.append(rates[-1] / counted)
    return statistics.median(rates), statistics.median(ratios)


def rate(name):
    """Messages a second, with the start of everything; fails where a message differs."""
    from eventstore.messaging import reconcile, relay

    relay.this_process.stop()  # the log is read in forked processes
    began = time.perf_counter()
    with reconcile.reconcile(reconcile.Request(name), lambda done, total: None) as found:
        seconds = time.perf_counter() - began
    if not found.report.agrees:
        sys.exit(f"bench.comparing: {name} differs from the log: {found.report.counts}")
    return found.report.found / seconds


def count(topic, client):
    """Messages a second that a consumer of the whole topic counts, with the start of its client."""
    from confluent_kafka import Consumer, TopicPartition

    from eventstore.messaging.reconcile.kafka import BATCH, READER

    began = time.perf_counter()
    consumer = Consumer({**READER, **client})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
    ended, counted = set(), 0
    while len(ended) < len(partitions):
        for each in consumer.consume(BATCH, 0.5):
            if each.error() is None:
                counted += 1
            else:  # the end of a partition
                ended.add(each.partition())
    seconds = time.perf_counter() - began
    consumer.close()
    return counted / seconds
