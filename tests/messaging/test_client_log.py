"""What the clients of Kafka log."""

import logging
import time

from confluent_kafka import Producer

from eventstore.messaging.client_log import ClientLog


def test_repeats_are_counted_and_logged_seldom(caplog):
    now = [0.0]
    log = ClientLog(logging.getLogger("toy"), clock=lambda: now[0])
    for number in range(85):
        log.log(logging.ERROR, "%s [%s] %s", "FAIL", "reader#1", f"refused after {number} ms")
        now[0] += 0.06
    log.log(logging.ERROR, "%s", "another")
    assert caplog.messages == [
        "FAIL [reader#1] refused after 0 ms",
        "FAIL [reader#1] refused after 84 ms (83 more like it)",
        "another",
    ]


def test_a_real_client_that_is_refused_logs_each_kind_once(caplog):
    log = ClientLog(logging.getLogger("toy"), clock=lambda: 0.0)
    options = {"bootstrap.servers": "127.0.0.1:1", "reconnect.backoff.max.ms": 100}
    producer = Producer(options, logger=log)
    deadline = time.monotonic() + 60
    while sum(left_out for _, left_out in log.kinds.values()) < 5:
        assert time.monotonic() < deadline
        producer.poll(0.1)
    assert any("Connection refused" in line for line in caplog.messages)
    assert len(caplog.messages) == len(log.kinds)
