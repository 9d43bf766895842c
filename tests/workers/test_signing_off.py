"""Who ends in good order is not listed as one that was lost; who is killed is."""

import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import psutil
import pytest
from django.conf import settings

from eventstore.delivery import heartbeats
from tests.eventstore.concurrently import until, url_of_the_test
from tools.devserver.processes import ends_with_us

pytestmark = [pytest.mark.worker, pytest.mark.slow]


def listed(kind):
    return [each.name for each in heartbeats.heartbeats() if each.kind == kind]


def test_a_celery_worker_signs_off_with_all_of_its_processes(workers):
    worker = workers(beat=False).until_it_is_ready()
    until(lambda: len(listed("worker")) == 2, seconds=30)
    assert all(name.startswith("worker@") for name in listed("worker"))
    worker.program.send_signal(signal.SIGTERM)
    worker.program.wait(30)
    assert listed("worker") == []


def test_one_that_is_killed_stays_listed(workers):
    worker = workers(beat=False).until_it_is_ready()
    until(lambda: len(listed("worker")) == 2, seconds=30)
    worker.kill()
    assert len(listed("worker")) == 2


def test_a_worker_without_celery_signs_off_as_worker_and_beat(transactional_db):
    process = started("manage.py", "work", "--poll=0.1")
    until(lambda: listed("worker") and listed("beat"), seconds=30)
    assert listed("worker")[0].startswith("work@")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert listed("worker") + listed("beat") == []


def test_a_process_of_relays_signs_off(transactional_db, monkeypatch):
    monkeypatch.setenv("RABBITMQ_URL", "amqp://127.0.0.1:1")
    process = started("manage.py", "relay")
    until(lambda: listed("relays"), seconds=30)
    assert listed("relays")[0].startswith("relay@")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert listed("relays") == []


def test_without_a_broker_there_is_nothing_to_relay(transactional_db):
    assert started("manage.py", "relay").wait(30) == 1


def test_the_beat_signs_off(transactional_db, tmp_path):
    process = started(
        "-m", "celery", "-q", "-A", "config", "beat", f"-s{tmp_path / 'beat'}", "--pidfile="
    )
    until(lambda: any(tmp_path.iterdir()), seconds=30)
    until(
        lambda: speaks_to_its_broker(process), seconds=30
    )  # all that it does at its beginning is done
    heartbeats.forget_own()
    heartbeats.note(heartbeats.BEAT)  # as the worker that takes what it sends
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert listed("beat") == []


def speaks_to_its_broker(process):
    port = urlsplit(settings.CELERY_BROKER_URL).port
    return any(
        each.raddr and each.raddr.port == port
        for each in psutil.Process(process.pid).net_connections()
    )


def started(*command):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", *command],
        env=os.environ | {"DATABASE_URL": url_of_the_test(), "EVENTSTORE_WAKE_WORKERS": "0"},
        stdin=subprocess.DEVNULL,
        preexec_fn=ends_with_us(signal.SIGKILL),
    )
