"""`make run PARTNER=1`: a second service beside the shop, and nothing of it without."""

import signal
import sys

import psutil
import pytest

from tools.devserver import partner, ports, rabbitmq
from tools.devserver.environment import DATABASE, KAFKA, PARTNER, PARTNER_DATABASE
from tools.devserver.errors import LauncherError

from .conftest import busy
from .test_run import elsewhere, spoken

SHOP = {DATABASE: "postgresql://postgres:secret@127.0.0.1:5432/orders?sslmode=disable"}
# For two services, their migrations and a broker, on a busy machine.
START_SECONDS = 200
WITH_KAFKA = {**SHOP, KAFKA: "127.0.0.1:9092"}


def test_it_has_a_database_of_its_own_on_the_server_of_the_shop(monkeypatch):
    monkeypatch.setenv(PARTNER, "1")
    url = "postgresql://postgres:secret@127.0.0.1:5432/loyalty?sslmode=disable"
    assert partner.settings(WITH_KAFKA) == {PARTNER_DATABASE: url}


@pytest.mark.parametrize("value", ["", "0"])
def test_it_does_not_run_unless_it_is_asked_for(value, monkeypatch):
    monkeypatch.setenv(PARTNER, value)
    monkeypatch.setenv(PARTNER_DATABASE, "postgresql://elsewhere/loyalty")
    assert not partner.is_wanted(WITH_KAFKA)
    assert partner.settings(WITH_KAFKA) == {}


def test_without_a_broker_the_message_names_what_is_missing(monkeypatch):
    monkeypatch.setenv(PARTNER, "1")
    with pytest.raises(LauncherError, match="BROKERS=kafka or BROKERS=rabbitmq"):
        partner.settings(SHOP)


def test_it_does_not_run_when_the_broker_cannot(monkeypatch):
    monkeypatch.setenv(PARTNER, "1")
    monkeypatch.setenv("BROKERS", "kafka")
    assert partner.settings(SHOP) == {}


@pytest.mark.slow
def test_both_services_run_until_they_are_asked_to_stop(data, local, monkeypatch):
    if absent := rabbitmq.missing():
        pytest.skip(f"rabbitmq needs {absent}, which is missing")
    monkeypatch.setenv("PORT", str(ports.free()))
    monkeypatch.setenv("BROKERS", "rabbitmq")
    monkeypatch.setenv(PARTNER, "1")
    both = local("run", "--data", data)
    line = spoken(both, "before manage.py in another terminal", seconds=START_SECONDS)
    manage = line.partition("terminal: ")[2].strip()
    points = spoken(both, "to see the loyalty points").partition("terminal: ")[2].strip()
    spoken(both, "answers")

    points = points.replace(".venv/bin/python", sys.executable)
    assert "points" in elsewhere(f"{manage} && {points}")
    family = psutil.Process(both.pid).children(recursive=True)
    commands = [" ".join(each.cmdline()) for each in family]
    for wanted in (
        "examples/loyalty/manage.py work",
        "examples/loyalty/manage.py consume",
        " manage.py consume",
    ):
        assert any(wanted in each for each in commands), commands

    both.send_signal(signal.SIGTERM)
    both.communicate(timeout=60)
    assert both.returncode == 0
    # RabbitMQ's port mapper has left the family; in a container, nothing may reap it.
    assert [each for each in family if each.is_running() and not is_zombie(each)] == []
    assert busy(data) == []


def is_zombie(process):
    return process.status() == psutil.STATUS_ZOMBIE
