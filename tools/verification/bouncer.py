"""PgBouncer in front of a PostgreSQL: with the project's configuration, on a free port, until this
process ends."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from signal import SIGINT
from time import monotonic, sleep
from urllib.parse import unquote, urlsplit

import psycopg

from tools.devserver import account, folder, ports, processes
from tools.devserver.errors import LauncherError, with_log
from tools.devserver.processes import Program, Running
from tools.devserver.programs import ROOT

NAME = "pgbouncer"
FILE = ROOT / "deploy/pgbouncer/pgbouncer.ini"
USERS = "userlist.txt"
# Debian installs it outside of an ordinary user's PATH.
PLACES = ("/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer")
PREPARED_SINCE = (1, 21)
BOUND_SECONDS = 10.0
OLD, NEW = "old", "new"
# Settings of the role and of our processes, as docs/guide/operate.md recommends.
BOUNDS = {"idle_in_transaction_session_timeout": "10s", "lock_timeout": "10s", "jit": "off"}
SETTINGS = {OLD: {"DATABASE_PREPARE_THRESHOLD": "0"}, NEW: {}}


@dataclass(frozen=True)
class Bouncer:
    """server: URL of PostgreSQL. port: of PgBouncer. form: OLD without prepared statements, or
    NEW. users: the file of those who may connect."""

    server: str
    port: int
    form: str
    users: Path
    running: Running

    def url(self, database: str | None = None) -> str:
        """The URL of the server, or of another of its databases, through the pooler."""
        parts = urlsplit(self.server)
        login = parts.netloc.rpartition("@")[0]
        path = f"/{database}" if database else parts.path
        return parts._replace(netloc=f"{login}@{ports.HOST}:{self.port}", path=path).geturl()

    def admit(self, user: str, password: str) -> None:
        """Let one more user connect."""
        account.of_services().write(self.users, self.users.read_text() + _line(user, password))
        with psycopg.connect(self.url(NAME), autocommit=True) as console:
            console.execute("RELOAD")

    @property
    def settings(self) -> dict[str, str]:
        return {"DATABASE_URL": self.url(), **SETTINGS[self.form]}


def binary() -> str | None:
    """The path in PGBOUNCER, or an installed one."""
    return (
        os.environ.get("PGBOUNCER")
        or shutil.which(NAME)
        or next(filter(os.path.exists, PLACES), None)
    )


def missing(form: str) -> str:
    """Why this form cannot run here; "" if it can."""
    found = binary()
    if found is None:
        return "PgBouncer is not installed (apt-get install pgbouncer)"
    if form == NEW and _version(found) < PREPARED_SINCE:
        number = ".".join(map(str, _version(found)))
        return f"PgBouncer {number} has no prepared statements; 1.21 has (PGBOUNCER=/path/to/it)"
    return ""


def start(path: Path, server: str, form: str = OLD) -> Bouncer:
    """Runs until it is stopped or this process ends. path: locked by folder.claimed. Raises
    LauncherError."""
    if why := missing(form):
        raise LauncherError(why)
    program, port = _program(path, server, form)
    running = processes.start(program, folder.pids(path))
    bouncer = Bouncer(server, port, form, program.folder / USERS, running)
    _wait(bouncer, folder.log(path, NAME))
    return bouncer


@contextmanager
def started(path: Path, server: str, form: str = OLD) -> Iterator[Bouncer]:
    bouncer = start(path, server, form)
    try:
        yield bouncer
    finally:
        processes.stop([bouncer.running], folder.pids(path))


def bound_waits(server: str) -> None:
    """Set the role's settings: a pooler drops those that a connection sends at its start."""
    with psycopg.connect(server, autocommit=True) as connection:
        for name, value in BOUNDS.items():
            connection.execute(f"ALTER ROLE CURRENT_USER SET {name} = '{value}'".encode())


def _program(path: Path, server: str, form: str) -> tuple[Program, int]:
    owner, found, port = account.of_services(), binary(), ports.free()
    assert found
    home = account.home(path, owner) / NAME
    if not home.exists():
        owner.make_folder(home)
    parts = urlsplit(server)
    owner.write(home / USERS, _line(parts.username or "", unquote(parts.password or "")))
    owner.write(home / "pgbouncer.ini", _ini(home, server, port, form, _version(found)))
    return Program(
        name=NAME,
        command=(found, str(home / "pgbouncer.ini")),
        environment=dict(os.environ),
        folder=home,
        account=owner,
        stop_signal=SIGINT,
        log=folder.log(path, NAME),
    ), port


def _line(user: str, password: str) -> str:
    return f'"{user}" "{password}"\n'


def _ini(home: Path, server: str, port: int, form: str, version: tuple[int, ...]) -> str:
    """The project's configuration with this server, port and users."""
    project = ConfigParser(delimiters=["="], interpolation=None)
    project.read(FILE)
    parts = urlsplit(server)
    project["databases"] = {"*": f"host={parts.hostname} port={parts.port}"}
    ours = {
        "listen_port": str(port),
        "auth_file": str(home / USERS),
        "admin_users": str(parts.username),
    }
    project["pgbouncer"].update(ours | dict.fromkeys(("unix_socket_dir", "logfile", "pidfile"), ""))
    if version >= PREPARED_SINCE:
        project["pgbouncer"]["max_prepared_statements"] = "500" if form == NEW else "0"
    text = StringIO()
    project.write(text)
    return text.getvalue()


def _version(found: str) -> tuple[int, ...]:
    output = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    number = re.search(r"(\d+)\.(\d+)", output)
    assert number, output
    return tuple(map(int, number.groups()))


def _wait(bouncer: Bouncer, log: Path) -> None:
    until = monotonic() + BOUND_SECONDS
    while monotonic() < until and bouncer.running.process.poll() is None:
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(bouncer.url("postgres"), connect_timeout=2),
        ):
            return
        sleep(0.05)
    raise with_log("PgBouncer did not start", log)
