"""Kafka Connect with Debezium, for the database of a run: all publications leave by it."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import psycopg

from eventstore.messaging.cdc.connector import NAME as CONNECTOR
from tools.devserver import connect, environment, folder, ports
from tools.devserver.account import Account
from tools.devserver.cdc import PUBLICATIONS
from tools.devserver.connect import Connect
from tools.devserver.errors import LauncherError
from tools.devserver.processes import Program

NAME = connect.NAME
PATIENCE_SECONDS = 120.0
# How long a handover may wait for the batch under way, or for Debezium.
HANDOVER_SECONDS = 30.0
COMMAND_SECONDS = 180.0
DROP = """
    SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE slot_name = %s AND NOT active
"""
HELD = "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s"


def missing() -> str:
    """What is missing to run it; "" when nothing is."""
    if absent := connect.missing():
        return f"Kafka Connect needs {absent}"
    try:
        connect.fetch()
    except LauncherError as error:
        return str(error)
    return ""


class Capture:
    """path, home: of the run's logs and data. settings: Kafka's, through its proxy. database: of
    the last run; slot: its own."""

    def __init__(self, path: Path, home: Path, owner: Account, settings: Mapping[str, str]) -> None:
        self.path, self.home, self.owner = path, home, owner
        self.servers = settings[environment.KAFKA]
        self.port = ports.free()
        self.slot = connect.SLOT

    @property
    def settings(self) -> dict[str, str]:
        """Of our processes."""
        return {environment.CDC_SLOT: self.slot, environment.CONNECT: connect.url(self.port)}

    def program(self, database: str) -> Program:
        """database: its URL for Debezium, through a proxy."""
        worker = Connect(self.servers, database, self.slot)
        log = folder.log(self.path, NAME)
        program = worker.program(self.home, port=self.port, log=log, owner=self.owner)
        return replace(program, name=NAME)

    def name_slot(self, database: str) -> None:
        """After the database, so that no run finds the slot of another one."""
        self.slot = urlsplit(database).path[1:].lower()

    def hand_over(self, settings: Mapping[str, str]) -> None:
        """Let all publications leave by Debezium."""
        self.manage(settings, "cdc", "create", must=True)
        self.post()
        for name in PUBLICATIONS:
            self.move(settings, f"{name}.published", "cdc", must=True)

    def move(
        self, settings: Mapping[str, str], publication: str, way: str, *, must: bool = False
    ) -> tuple[bool, str]:
        words = ("broker_handover", publication, way, "--reason=chaos")
        return self.manage(settings, *words, f"--seconds={HANDOVER_SECONDS}", must=must)

    def manage(
        self, settings: Mapping[str, str], *words: str, must: bool = False
    ) -> tuple[bool, str]:
        """Whether the command has succeeded, and its output."""
        command = [sys.executable, "-W", "ignore", "manage.py", *words]
        done = subprocess.run(
            command,
            env=dict(settings),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        output = (done.stdout + done.stderr).strip()
        if must and done.returncode:
            raise SystemExit(f"chaos: manage.py {' '.join(words)} fails: {output}")
        return done.returncode == 0, output

    def post(self) -> None:
        self._until(lambda: self._ask("GET", "/connectors")[0] == 200)
        connect.post(connect.url(self.port))
        self._until(lambda: self.state() == "RUNNING")

    def state(self) -> str:
        """Of the connector's task; "" while there is none, or no answer."""
        status, answer = self._ask("GET", f"/connectors/{CONNECTOR}/status")
        return str(answer["tasks"][0]["state"]) if status == 200 and answer["tasks"] else ""

    def start_over(self) -> None:
        """Forget the offsets of the connector, as they belong to a slot that is gone. It stands
        still afterwards."""
        self._until(lambda: self._act("PUT", "/stop") in (202, 204))
        self._until(lambda: self._act("DELETE", "/offsets") == 200)

    def go_on(self) -> None:
        self._until(lambda: self._act("PUT", "/resume") in (202, 204))
        self._until(lambda: self.state() == "RUNNING")

    def restart_task(self) -> None:
        self._act("POST", "/restart?includeTasks=true&onlyFailed=true")

    def forget(self, server: str) -> None:
        """Drop the slot, once its reader has gone. server: a URL without a proxy."""
        until = monotonic() + PATIENCE_SECONDS
        with psycopg.connect(server, autocommit=True) as connection:
            while connection.execute(HELD, [self.slot]).fetchone() and monotonic() < until:
                connection.execute(DROP, [self.slot])
                sleep(0.2)

    def _act(self, method: str, path: str) -> int:
        return self._ask(method, f"/connectors/{CONNECTOR}{path}")[0]

    def _ask(self, method: str, path: str) -> tuple[int, Any]:
        with suppress(OSError, HTTPException, ValueError):
            return connect.ask(connect.url(self.port), method, path)
        return 0, None

    def _until(self, condition: Callable[[], object]) -> None:
        until = monotonic() + PATIENCE_SECONDS
        while not condition():
            if monotonic() > until:
                raise SystemExit(f"chaos: Kafka Connect has not come to that; see {self.path}")
            sleep(0.2)
