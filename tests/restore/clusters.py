"""PostgreSQL clusters to copy, kill, promote and restore, and a shop process that keeps running."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from signal import SIGINT, SIGKILL

import psycopg

from tools.devserver import account, postgres, processes

PATIENCE_SECONDS = 60.0


class Cluster:
    """One data directory. options: additional settings of the server."""

    def __init__(self, home: Path, port: int, **options: str) -> None:
        self.home, self.port, self.options, self.running = home, port, options, None
        self.owner = account.of_services()
        (home / "pids").mkdir(exist_ok=True)

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    @property
    def url(self) -> str:
        return postgres.url(self.home, self.port)

    def start(self, *, port: int | None = None) -> "Cluster":
        self.port = port or self.port
        program = postgres.program(
            self.home, port=self.port, log=self.home / "log", owner=self.owner
        )
        options = (f"--{name}={value}" for name, value in self.options.items())
        program = processes.Program(**vars(program) | {"command": (*program.command, *options)})
        self.running = processes.start(program, self.home / "pids")
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            assert self.running.process.poll() is None, (self.home / "log").read_text()[-3000:]
            assert time.monotonic() < until, (self.home / "log").read_text()[-3000:]
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        if not self.is_standby:
            return postgres.answers(self.home, self.port)
        with suppress(psycopg.OperationalError):
            self.ask("SELECT 1")
            return True
        return False

    @property
    def is_standby(self) -> bool:
        return (self.data / "standby.signal").exists()

    def stop(self, number: int = SIGINT) -> None:
        if self.running is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.running.process.pid, number)
            self.running.process.wait(PATIENCE_SECONDS)
            self.running = None

    def kill(self) -> None:
        self.stop(SIGKILL)

    def ask(self, statement: str) -> list[tuple]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def copy(self, home: Path) -> "Cluster":
        """A base backup of a running server, or a cold copy of a stopped one."""
        with (
            psycopg.connect(self.url, autocommit=True)
            if self.running
            else nullcontext() as connection
        ):
            if connection:
                connection.execute("SELECT pg_backup_start('copy', fast => true)")
            copied = Cluster(_copied(self.home, home, self.owner), self.port, **self.options)
            if connection:
                ((label,),) = connection.execute(
                    "SELECT labelfile FROM pg_backup_stop()"
                ).fetchall()
                self.owner.write(copied.data / "backup_label", label)
                # The WAL written meanwhile, which a base backup includes.
                for segment in (self.data / "pg_wal").iterdir():
                    if segment.is_file():
                        shutil.copy2(segment, copied.data / "pg_wal")
                _own(copied.home, self.owner)
        return copied

    def stand_by(self, primary: "Cluster") -> None:
        self.owner.write(self.data / "standby.signal", "")
        self.options["primary_conninfo"] = f"{primary.url.replace('/orders', '/postgres')}"

    def promote(self) -> None:
        self.ask("SELECT pg_promote()")


def _copied(source: Path, target: Path, owner: account.Account) -> Path:
    def copy(one: str, other: str) -> None:
        """A running server may delete files during the copy; the WAL covers that."""
        with suppress(FileNotFoundError):
            shutil.copy2(one, other)

    shutil.copytree(
        source,
        target,
        copy_function=copy,
        ignore=shutil.ignore_patterns("postmaster.pid", "pids", "copy-*"),
    )
    (target / "pids").mkdir()
    _own(target, owner)
    return target


def _own(folder: Path, owner: account.Account) -> None:
    if owner != account.ours():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.uid, owner.gid)


class Shop:
    """A process that evaluates expressions and keeps its caches; see tests/restore/shop.py."""

    def __init__(self, url: str) -> None:
        environment = os.environ | {
            "DATABASE_URL": url,
            "LOG_LEVEL": "WARNING",
            "EVENTSTORE_WAKE_WORKERS": "0",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.restore.shop"],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def do(self, expression: str):
        """The value of the expression, once the database answers."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            self.process.stdin.write(expression + "\n")
            self.process.stdin.flush()
            reply = json.loads(self.process.stdout.readline())
            if "error" not in reply:
                return reply["value"]
            assert reply["error"] == "OperationalError", reply
            assert time.monotonic() < until, reply
            time.sleep(0.1)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(PATIENCE_SECONDS)


def manage(url: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "ignore", *arguments]
    environment = os.environ | {"DATABASE_URL": url, "LOG_LEVEL": "WARNING"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
