"""PostgreSQL and Redis in a data folder, unless the environment names others; and the settings to
reach them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Protocol

from tools.devserver import account, folder, ports, postgres, processes, redis
from tools.devserver.account import Account
from tools.devserver.environment import BROKER, DATABASE, REDIS, given
from tools.devserver.errors import with_log
from tools.devserver.processes import Program, Running

BOUND = 180.0  # a large database may need time to recover, and a slow machine to start a broker
ATTEMPTS = 3
PORT_TAKEN = "Address already in use"


class Kind(Protocol):
    """The interface of the modules postgres, redis, kafka and rabbitmq."""

    @property
    def NAME(self) -> str: ...
    def program(self, home: Path, *, port: int, log: Path, owner: Account) -> Program: ...
    def answers(self, home: Path, port: int) -> bool: ...


@dataclass(frozen=True)
class Services:
    running: list[Running] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)


@contextmanager
def started(path: Path) -> Iterator[Services]:
    """path: locked by folder.claimed. Services that the environment names are not started."""
    services = Services()
    owner = account.of_services()
    home = account.home(path, owner)
    try:
        if not given(DATABASE):
            port = start(postgres, path, home, owner, services.running)
            services.settings[DATABASE] = postgres.url(home, port)
        if not given(REDIS):
            port = start(redis, path, home, owner, services.running)
            services.settings[REDIS] = redis.url(home, port)
            if not given(BROKER):
                services.settings[BROKER] = redis.url(home, port, database=1)
        yield services
    finally:
        processes.stop(services.running, folder.pids(path))


def start(kind: Kind, path: Path, home: Path, owner: Account, running: list[Running]) -> int:
    log = folder.log(path, kind.NAME)
    for _ in range(ATTEMPTS):
        log.write_text("")
        port = ports.free()
        started = processes.start(
            kind.program(home, port=port, log=log, owner=owner), folder.pids(path)
        )
        running.append(started)
        if _answers(kind, home, port, started):
            return port
        ended = started.process.poll()
        running.remove(started)
        processes.stop([started], folder.pids(path))
        # Another process may have taken the port after we had found it free.
        if PORT_TAKEN not in log.read_text():
            break
    why = (
        f"did not answer within {BOUND:.0f} s; the machine may be slow"
        if ended is None
        else f"ended with code {ended}"
    )
    raise with_log(f"{kind.NAME} did not start: it {why}", log)


def _answers(kind: Kind, home: Path, port: int, started: Running) -> bool:
    end = monotonic() + BOUND
    while started.process.poll() is None and monotonic() < end:
        if kind.answers(home, port):
            return True
        sleep(0.02)
    return False
