"""The processes of a run: PostgreSQL, Valkey, optionally PgBouncer, Kafka and RabbitMQ, two web
servers, two workers, Celery beat. Those that die are started again."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, RLock, Thread
from time import monotonic, sleep
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg

from tools.devserver import environment, folder, ports, processes, programs
from tools.devserver.errors import with_log
from tools.devserver.processes import Program, Running
from tools.verification import bouncer
from tools.verification.chaos import webhooks
from tools.verification.chaos.brokers import NAMES, Brokers
from tools.verification.chaos.capture import NAME as CONNECT
from tools.verification.chaos.capture import Capture
from tools.verification.chaos.clocks import Clock
from tools.verification.chaos.proxy import Network, Proxy

WEBS = ("web-1", "web-2")
WORKERS = ("worker-1", "worker-2")
CONSUMING = ("consume-1", "consume-2")
PATIENCE_SECONDS = 120.0


class Keeper:
    """Restarts programs that have died, without a limit, as systemd or Kubernetes would."""

    def __init__(self, pids: Path, services: list[Running]) -> None:
        self.pids, self.services = pids, services
        self.children: list[Running] = []
        self.restarts = 0
        self.lock = RLock()
        self._closing = Event()
        self._thread = Thread(target=self._watch, name="keeper", daemon=True)
        self._thread.start()

    def start(self, program: Program) -> None:
        with self.lock:
            self.children.append(processes.start(program, self.pids))

    def dismiss(self, names: Sequence[str]) -> None:
        with self.lock:
            leaving = [each for each in self.children if each.program.name in names]
            self.children = [each for each in self.children if each not in leaving]
            for each in leaving:
                _send(_family(each), signal.SIGCONT)
            processes.stop(leaving, self.pids)

    def change(self, name: str, change: Callable[[Program], Program]) -> None:
        """Stop a service in order, and start it with a changed command."""
        with self.lock:
            for place, each in enumerate(self.services):
                if each.program.name == name:
                    processes.stop([each], self.pids)
                    self.services[place] = processes.start(change(each.program), self.pids)

    def pid_of(self, name: str) -> int:
        with self.lock:
            return next(
                e.process.pid for e in [*self.services, *self.children] if e.program.name == name
            )

    def send(self, name: str, number: int) -> int:
        """Signal the program and its descendants. Returns the number of processes."""
        with self.lock:
            found = [each for each in [*self.services, *self.children] if each.program.name == name]
            return _send([member for each in found for member in _family(each)], number)

    def kill(self, name: str) -> int:
        """Like send with SIGKILL, but waits for their end. They restart when the lock is
        released."""
        with self.lock:
            members = [
                m
                for each in [*self.services, *self.children]
                if each.program.name == name
                for m in _family(each)
            ]
            sent = _send(members, signal.SIGKILL)
            psutil.wait_procs(members, timeout=10)
            return sent

    def ask(self, name: str, number: int) -> int:
        """Signal the program alone, not its descendants."""
        with self.lock:
            return _send(
                [
                    psutil.Process(each.process.pid)
                    for each in self.children
                    if each.program.name == name
                ],
                number,
            )

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self.dismiss([each.program.name for each in self.children])

    def _watch(self) -> None:
        while not self._closing.wait(0.2):
            with self.lock:
                for group in (self.services, self.children):
                    for place, each in enumerate(group):
                        if each.process.poll() is not None:
                            processes.stop([each], self.pids)  # it may have left children behind
                            group[place] = processes.start(each.program, self.pids)
                            self.restarts += 1


class Stage:
    """server, broker: URLs without a proxy. unsafe: whether our processes accept unsafe settings of
    the database.

    pooler: PgBouncer between the proxies and PostgreSQL: bouncer.OLD, bouncer.NEW or "" for none.
    extra: further settings of our processes. brokers: Kafka and RabbitMQ, where they run.
    """

    def __init__(
        self,
        path: Path,
        services: list[Running],
        settings: Mapping[str, str],
        network: Network,
        pooler: str = "",
        extra: Mapping[str, str] | None = None,
        brokers: Brokers | None = None,
    ) -> None:
        self.path, self.settings, self.clock, self.network = path, settings, Clock(path), network
        self.server, self.broker = settings["DATABASE_URL"], settings["CELERY_BROKER_URL"]
        self.pooler, self.extra, self.brokers = pooler, extra or {}, brokers
        entry = port_of(self.server)
        if pooler:
            bouncer.bound_waits(self.server)
            pgbouncer = bouncer.start(path, self.server, pooler)
            services.append(pgbouncer.running)
            entry = pgbouncer.port
        self.keeper = Keeper(folder.pids(path), services)
        self.proxies = {
            "web": network.proxy_to(entry),
            "worker": network.proxy_to(entry),
            "broker": network.proxy_to(port_of(self.broker)),
            **(brokers.proxies if brokers else {}),
        }
        self.web_ports = {name: ports.free() for name in WEBS}
        self.database = self.server
        self.unsafe = self.uses_brokers = False
        # Kafka Connect, if the run uses it.
        self.capture: Capture | None = None

    @property
    def urls(self) -> list[str]:
        return [f"http://{ports.HOST}:{port}" for port in self.web_ports.values()]

    def database_named(self, name: str) -> str:
        return urlsplit(self.server)._replace(path=f"/{name}").geturl()

    @contextmanager
    def running(
        self,
        database: str,
        *,
        sabotage: str = "",
        with_brokers: bool = False,
        with_capture: bool = False,
    ) -> Iterator[None]:
        """Run all programs on this database. sabotage: the mistake of workers and consumers.
        with_capture: all publications leave by Debezium."""
        self.database, self.uses_brokers = database, with_brokers
        self.capture = self.brokers.capture if self.brokers and with_capture else None
        if self.capture:
            self.capture.name_slot(database)
        ours = self._programs(sabotage)
        try:
            for program in ours:
                self.keeper.start(program)
            self.wait_until_ready()
            if self.capture:
                self.capture.hand_over(self.command_settings())
            yield
        finally:
            self.keeper.dismiss([program.name for program in ours])
            if self.capture:
                self.capture.forget(self.server)

    def move_to(self, server: str) -> None:
        """Point the database's address to another server, and reset connections to the old one."""
        self.server = server
        self.database = self.database_named(urlsplit(self.database).path[1:])
        for side in ("web", "worker"):
            self.proxies[side].target = port_of(server)
            self.proxies[side].reset()

    def restart(self) -> None:
        """Stop our processes in order, then start them."""
        ours = self._programs("")
        self.keeper.dismiss([program.name for program in ours])
        for program in ours:
            self.keeper.start(program)

    def wait_until_ready(self) -> None:
        until = monotonic() + PATIENCE_SECONDS
        while not all(self._answers(name) for name in WEBS):
            if monotonic() > until:
                raise SystemExit(
                    str(
                        with_log(
                            "chaos: no answer from the web servers", folder.log(self.path, WEBS[0])
                        )
                    )
                )
            sleep(0.1)

    def wait_for_database(self) -> None:
        until = monotonic() + PATIENCE_SECONDS
        while True:
            with (
                suppress(psycopg.OperationalError),
                psycopg.connect(self.server, connect_timeout=2),
            ):
                return
            if monotonic() > until:
                raise SystemExit(f"chaos: no answer from the database; see {self.path}")
            sleep(0.1)

    def pool_children(self, worker: str) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.keeper.pid_of(worker)).children()
        return []

    def transactions_of(self, name: str) -> int:
        """The open transactions of a program, by pg_stat_activity."""
        with (
            suppress(psycopg.Error),
            psycopg.connect(self.database, connect_timeout=2) as connection,
        ):
            row = connection.execute(OPEN, [name]).fetchone()
            return int(row[0]) if row else 0
        return 0

    def heal(self) -> None:
        for proxy in self.proxies.values():
            proxy.heal()
        for name in (*WEBS, *WORKERS, "beat", *CONSUMING, *NAMES, CONNECT):
            self.keeper.send(name, signal.SIGCONT)
        self.clock.set_right()

    def _programs(self, sabotage: str) -> list[Program]:
        webs = [
            self._named(programs.web(port, self._environment(n, "web")), n)
            for n, port in self.web_ports.items()
        ]
        workers = [
            self._named(_worker(name, self._environment(name, "worker"), sabotage), name)
            for name in WORKERS
        ]
        beat = programs.beat(self.path, self._environment("beat", "worker", clock=False))
        consuming = [
            self._named(_consuming(name, self._environment(name, "worker"), sabotage), name)
            for name in (CONSUMING if self.uses_brokers else ())
        ]
        capture = (
            [self.capture.program(_through(self.database, self.proxies["worker"]))]
            if self.capture
            else []
        )
        return [*webs, *workers, self._named(beat, "beat"), *consuming, *capture]

    def command_settings(self) -> dict[str, str]:
        """Of a command of an operator."""
        return self._environment("operator", "web", clock=False) | {
            "EVENTSTORE_WAKE_WORKERS": "0",
            "LOG_LEVEL": "ERROR",
        }

    def _named(self, program: Program, name: str) -> Program:
        return replace(program, name=name, log=folder.log(self.path, name))

    def _environment(self, name: str, side: str, *, clock: bool = True) -> dict[str, str]:
        return {
            **environment.STAND_INS,
            **os.environ,
            **self.settings,
            "DATABASE_URL": _through(self.database, self.proxies[side]),
            "REDIS_URL": _through(self.settings["REDIS_URL"], self.proxies["broker"]),
            "CELERY_BROKER_URL": _through(self.broker, self.proxies["broker"]),
            **(bouncer.SETTINGS[self.pooler] if self.pooler else {}),
            **(self.brokers.settings if self.brokers and self.uses_brokers else {}),
            **(self.capture.settings if self.capture else {}),
            "PGAPPNAME": name,
            "SECRET_KEY": "only-for-chaos",
            "STRIPE_WEBHOOK_SECRETS": webhooks.SECRET,
            "PYTHONUNBUFFERED": "1",
            "ALLOW_UNSAFE_DATABASE": "1" if self.unsafe else "0",
            **(self.clock.environment if clock else {}),
            **self.extra,
        }

    def _answers(self, name: str) -> bool:
        with suppress(httpx.HTTPError):
            return (
                httpx.get(
                    f"http://{ports.HOST}:{self.web_ports[name]}/health/ready", timeout=5
                ).status_code
                == 200
            )
        return False


OPEN = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND xact_start IS NOT NULL"
)


def _worker(name: str, environment: Mapping[str, str], sabotage: str) -> Program:
    program = _sabotaged(programs.worker(environment), sabotage)
    return replace(program, command=(*program.command, f"--hostname={name}@chaos"))


def _consuming(name: str, environment: Mapping[str, str], sabotage: str) -> Program:
    return _sabotaged(programs.manage(name, "consume", environment=environment), sabotage)


def _sabotaged(program: Program, mistake: str) -> Program:
    """Only workers and consumers have the mistake, and the platform has no hook for it."""
    python, *rest = program.command
    saboteur = ("-m", "tools.verification.chaos.sabotage", mistake) if mistake else ()
    return replace(program, command=(python, *saboteur, *rest))


def _family(running: Running) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(running.process.pid)
        return [leader, *leader.children(recursive=True)]
    return []


def _send(members: Sequence[psutil.Process], number: int) -> int:
    sent = 0
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(number)
            sent += 1
    return sent


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port, url
    return port


def _through(url: str, proxy: Proxy) -> str:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@{ports.HOST}:{proxy.port}").geturl()
