"""More PostgreSQL servers: a standby, and a base backup with a WAL archive to restore."""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg

from tools.devserver import account, folder, ports, processes
from tools.devserver.processes import Program
from tools.verification.chaos.stage import Stage, port_of

PATIENCE_SECONDS = 180.0
PRIMARY = "postgres"
# Its name for its primary. By '*' a commit would also wait for a reader of a logical slot, such as
# Debezium, and be safe with that alone.
STANDBY = "walreceiver"
# A standby that keeps failover slots: it has a physical slot of its own, ...
KEEP = ("--create-slot", "--slot=standby", "--dbname=dbname=postgres")
SYNCHRONIZE = """
hot_standby_feedback = on
sync_replication_slots = on
"""
# ... and Debezium reads nothing that it does not have.
WAIT_FOR_STANDBY = (
    "ALTER SYSTEM SET synchronized_standby_slots = 'standby'",
    "SELECT pg_reload_conf()",
)
KEPT = """
    SELECT count(*) > 0 FROM pg_replication_slots
    WHERE slot_name = '{slot}' AND synced AND NOT temporary AND invalidation_reason IS NULL
"""


class Servers:
    """primary: the program of the first server. place: a folder that the servers' user can write
    to."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.owner = stage, account.of_services()
        self.place = account.home(stage.path, self.owner)
        self.archive = self.place / "archive"
        self.owner.make_folder(self.archive)
        self.primary = next(
            each.program for each in stage.keeper.services if each.program.name == PRIMARY
        )
        self.replication = stage.network.proxy_to(port_of(stage.server))
        self.backup: Path | None = None
        self.standby = ""

    def archive_from_now_on(self) -> None:
        keep = (
            "--archive_mode=on",
            f"--archive_command=cp %p {self.archive}/%f",
            "--wal_keep_size=512MB",
        )
        self.stage.keeper.change(
            PRIMARY, lambda program: replace(program, command=(*program.command, *keep))
        )
        self.stage.wait_for_database()
        self.primary = next(
            each.program for each in self.stage.keeper.services if each.program.name == PRIMARY
        )

    def take_backup(self) -> None:
        self.backup = self._base_backup("backup", port_of(self.stage.server))

    def start_standby(self, *, synchronous: bool, slot: str = "") -> str:
        """It replicates through a proxy, which can hold data back. slot: a failover slot that it
        keeps, from PostgreSQL 17 on. Returns its URL."""
        keeps = KEEP if slot else ()
        data = self._base_backup("standby", self.replication.port, "--write-recovery-conf", *keeps)
        if slot:
            with (data / "postgresql.auto.conf").open("a") as configuration:
                configuration.write(SYNCHRONIZE)
        url = self._start("standby", data)
        self._until("streaming replication", lambda: self._ask(self.stage.server, STREAMS))
        if synchronous:
            self._execute(
                self.stage.server,
                f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'",
                "SELECT pg_reload_conf()",
            )
            self._until(
                "synchronous replication", lambda: self._ask(self.stage.server, SYNCHRONOUS)
            )
        if slot:
            self._execute(self.stage.server, *WAIT_FOR_STANDBY)
            self._until("a copy of the slot", lambda: self._ask(url, KEPT.format(slot=slot)))
        return url

    def hold_back(self) -> None:
        """Later writes do not reach the standby."""
        self.replication.fall_silent(PATIENCE_SECONDS)

    def pause(self, subscription: str) -> None:
        self._execute(
            self.stage.database,
            f"UPDATE eventstore_subscription SET paused = true WHERE name = '{subscription}'",
        )

    def resume(self, subscription: str) -> None:
        self._execute(
            self.stage.database,
            f"UPDATE eventstore_subscription SET paused = false WHERE name = '{subscription}'",
        )

    def kill_primary(self) -> None:
        """Without a restart."""
        keeper = self.stage.keeper
        with keeper.lock:
            keeper.kill(PRIMARY)
            dead = [each for each in keeper.services if each.program.name == PRIMARY]
            keeper.services[:] = [each for each in keeper.services if each not in dead]
            processes.stop(dead, folder.pids(self.stage.path))
        self.replication.reset()

    def promote(self, standby: str) -> None:
        self._execute(standby, "SELECT pg_promote(true, 20)")
        self.stage.move_to(standby)

    def restore(self, moment: datetime) -> None:
        """Start the backup, and replay the archive and the dead server's last WAL segments up to
        this moment."""
        assert self.backup
        for segment in (self.primary.folder / "pg_wal").iterdir():
            if segment.is_file() and not (self.archive / segment.name).exists():
                shutil.copy(segment, self.archive)
                shutil.chown(self.archive / segment.name, self.owner.uid, self.owner.gid)
        settings = RESTORE.format(archive=self.archive, moment=moment.isoformat())
        with (self.backup / "postgresql.auto.conf").open("a") as configuration:
            configuration.write(settings)
        self.owner.write(self.backup / "recovery.signal", "")
        restored = self._start("restored", self.backup)
        self._until("the restore", lambda: self._ask(restored, "SELECT NOT pg_is_in_recovery()"))
        self.stage.move_to(restored)

    def moment(self) -> datetime:
        (row,) = self._rows(self.stage.server, "SELECT clock_timestamp()")
        found: datetime = row[0]
        return found

    def _base_backup(self, name: str, port: int, *options: str) -> Path:
        parts, data = urlsplit(self.stage.server), self.place / name
        self.owner.make_folder(data)
        subprocess.run(
            [
                Path(self.primary.command[0]).with_name("pg_basebackup"),
                "-D",
                data,
                "-h",
                ports.HOST,
                "-p",
                str(port),
            ]
            + ["-U", parts.username or "", "--checkpoint=fast", *options],
            env=os.environ | {"PGPASSWORD": unquote(parts.password or "")},
            cwd=self.place,
            check=True,
            **self.owner.for_popen(),
        )
        return data

    def _start(self, name: str, data: Path) -> str:
        port = ports.free()
        command = [
            str(data) if each == str(self.primary.folder) else each for each in self.primary.command
        ]
        command = [f"--port={port}" if each.startswith("--port=") else each for each in command]
        command = [each for each in command if not each.startswith("--archive")]
        log = folder.log(self.stage.path, name)
        program: Program = replace(
            self.primary, name=name, command=tuple(command), folder=data, log=log
        )
        with self.stage.keeper.lock:
            self.stage.keeper.services.append(
                processes.start(program, folder.pids(self.stage.path))
            )
        parts = urlsplit(self.stage.server)
        url = parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()
        self._until(f"the start of {name}", lambda: self._ask(url, "SELECT true"))
        return url

    def _until(self, what: str, condition: Callable[[], object]) -> None:
        until = monotonic() + PATIENCE_SECONDS
        while not condition():
            if monotonic() > until:
                raise SystemExit(
                    f"drills: {what} took more than {PATIENCE_SECONDS:.0f} s; see {self.stage.path}"
                )
            sleep(0.05)

    def _ask(self, url: str, query: str) -> bool:
        with suppress(psycopg.OperationalError):
            return bool(self._rows(url, query)[0][0])
        return False

    def _rows(self, url: str, query: str) -> list[Any]:
        with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
            return connection.execute(query.encode()).fetchall()

    def _execute(self, url: str, *statements: str) -> None:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            for statement in statements:
                connection.execute(statement.encode())


STREAMS = "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'"
SYNCHRONOUS = "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
RESTORE = """
restore_command = 'cp {archive}/%f %p'
recovery_target_time = '{moment}'
recovery_target_action = 'promote'
"""
