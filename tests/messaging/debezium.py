"""Kafka Connect with Debezium, for one session: the connector reads the test's own database."""

import signal
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from eventstore.messaging.cdc.connector import NAME
from tests.conftest import NO_BROKER
from tests.eventstore.concurrently import url_of_the_test
from tools.devserver import connect, folder, processes
from tools.devserver.connect import Connect
from tools.devserver.errors import LauncherError

from .conftest import FETCH_SECONDS, Server, until

DROP = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"


class Debezium(Server):
    """A Kafka Connect of our own. Its slot has the name of the database."""

    def __init__(self, kafka, slot, path, running):
        super().__init__(Connect(kafka.address, url_of_the_test(), slot), path, running)
        self.slot = slot

    @property
    def address(self):
        return connect.url(self.port)

    def post(self):
        """Also if it has failed before, for want of its slot."""
        connect.post(self.address)
        until(self.state)
        if self.state() == "FAILED":
            self.ask("POST", "/restart?includeTasks=true&onlyFailed=true")

    def ask(self, method, path=""):
        return connect.ask(self.address, method, f"/connectors/{NAME}{path}")

    def state(self):
        """Of the connector's task."""
        status, answer = self.ask("GET", "/status")
        return answer["tasks"][0]["state"] if status == 200 and answer["tasks"] else ""

    def delete(self):
        """The connector, with its offsets: as if it had never been posted."""
        if self.ask("GET")[0] == 404:
            return
        self.ask("PUT", "/stop")
        until(lambda: self.ask("GET", "/status")[1]["connector"]["state"] == "STOPPED")
        until(lambda: self.ask("DELETE", "/offsets")[0] == 200)
        self.ask("DELETE")
        until(lambda: self.ask("GET")[0] == 404)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.running[-1].process.wait()


@contextmanager
def debezium(kafka):
    """Without what it needs the test is skipped, and named at the end."""
    if absent := connect.missing():
        pytest.skip(f"{NO_BROKER}Kafka Connect needs {absent}, which is missing")
    try:
        connect.fetch(FETCH_SECONDS)
    except LauncherError as error:
        pytest.skip(f"{NO_BROKER}{error}")
    running = []
    slot = connection.settings_dict["NAME"].lower()[:63]
    with folder.throwaway() as path:
        try:
            yield Debezium(kafka, slot, path, running)
        finally:
            processes.kill(running)
            processes.stop(running, folder.pids(path))
            drop_slot(slot)


def drop_slot(slot):
    """Once its reader has gone."""

    def dropped():
        try:
            with psycopg.connect(url_of_the_test(), autocommit=True) as other:
                other.execute(DROP, [slot])
            return True
        except psycopg.errors.ObjectInUse:
            return False

    until(dropped)
