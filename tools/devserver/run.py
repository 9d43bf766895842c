"""`make run`: the whole platform until Ctrl-C."""

import secrets
import shlex
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from tools.devserver import account, brokers, cdc, folder, partner, ports, programs, services
from tools.devserver.environment import (
    DATABASE,
    DRAIN,
    REDIS,
    SECRET,
    as_exports,
    given,
    of_commands,
    preferred_port,
    with_settings,
)
from tools.devserver.errors import LauncherError
from tools.devserver.ports import HOST
from tools.devserver.supervisor import Stopped, Supervisor
from tools.devserver.terminal import say

DATA = programs.ROOT / ".local"
BOUND = 180.0
ENVIRONMENT = "environment"


def run(data: Path) -> None:
    with folder.claimed(data) as path:
        say("starting PostgreSQL, Valkey and the platform; the first start takes a minute")
        supervisor = Supervisor(folder.pids(path))
        with services.started(path) as found:
            supervisor.services = found.running
            brokers.start(path, brokers.wanted(), found)
            cdc.start(path, found, supervisor)
            ours = {SECRET: _secret(path), "PYTHONUNBUFFERED": "1", DRAIN: given(DRAIN) or "0"}
            environment = with_settings({**found.settings, **ours})
            environment |= partner.settings(environment)
            try:
                _serve(supervisor, path, environment)
            except Stopped:
                say("stopping; press Ctrl-C again to kill")
            finally:
                (path / ENVIRONMENT).unlink(missing_ok=True)
                supervisor.stop()


def clean(data: Path) -> None:
    with folder.claimed(data):
        account.remove(data)


def _serve(supervisor: Supervisor, path: Path, environment: Mapping[str, str]) -> None:
    for name, *arguments in (
        ("migrate", "migrate", "-v0"),
        ("static", "collectstatic", "--noinput", "-v0"),
    ):
        if supervisor.run(programs.manage(name, *arguments, environment=environment)):
            raise LauncherError(f"manage.py {arguments[0]} failed, see above")
    if brokers.named(environment) and supervisor.run(
        programs.manage("brokers", "brokers", "--create", "--tap", environment=environment)
    ):
        say("topics and exchanges could not be created, see above; everything else runs")
    cdc.hand_over(supervisor, environment)
    partner.prepare(supervisor, environment)
    port = _port(preferred_port())
    live = _port(port + 1)
    supervisor.keep(programs.web(port, environment))
    supervisor.keep(programs.live(live, environment))
    supervisor.keep(programs.worker(environment))
    supervisor.keep(programs.beat(path, environment))
    if brokers.named(environment):
        supervisor.keep(programs.relay(environment))
        supervisor.keep(programs.reader(environment))
    partner.start(supervisor, environment)
    url = f"http://{HOST}:{port}"
    _wait_for(supervisor, port, "/admin/login/")
    _wait_for(supervisor, live, "/health/live")
    if supervisor.run(programs.demo(url, f"ws://{HOST}:{live}", environment)):
        say("loading the example data failed, see above; the platform runs without it")
    _tell_addresses(path, environment)
    brokers.say_how_to_watch(environment)
    partner.say_how_to_watch(environment)
    say(f"{url} answers; Ctrl-C stops everything")
    supervisor.watch()


def _tell_addresses(path: Path, environment: Mapping[str, str]) -> None:
    database, redis = (urlsplit(environment[name]) for name in (DATABASE, REDIS))
    say(f"PostgreSQL at port {database.port}, database {database.path[1:]}; Valkey at {redis.port}")
    file = _exported(path, environment)
    if path.absolute() == DATA:
        say(f"manage.py in this folder uses them; other programs after: . {shlex.quote(str(file))}")
    else:
        say(f"before manage.py in another terminal: . {shlex.quote(str(file))}")


def _exported(path: Path, environment: Mapping[str, str]) -> Path:
    """A file for a shell to source, because ports differ in each run; it contains passwords."""
    file = path / ENVIRONMENT
    account.ours().write(file, as_exports(of_commands(environment)))
    return file


def _port(preferred: int) -> int:
    port = ports.preferred_or_free(preferred)
    if port != preferred:
        say(f"port {preferred} is in use; using {port}")
    return port


def _wait_for(supervisor: Supervisor, port: int, path: str) -> None:
    end = monotonic() + BOUND
    while not _answers(port, path):
        if monotonic() > end:
            raise LauncherError(
                f"http://{HOST}:{port}{path} has not answered within {BOUND:.0f} s; what is above"
                " may say why"
            )
        supervisor.restart_dead()
        supervisor.pause(0.1)


def _answers(port: int, path: str) -> bool:
    try:
        connection = HTTPConnection(HOST, port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status > 0
    except (OSError, HTTPException):
        return False


def _secret(path: Path) -> str:
    """Kept between runs, so that sessions stay valid."""
    if secret := given(SECRET):
        return secret
    file = path / "secret-key"
    if not file.exists():
        account.ours().write(file, secrets.token_urlsafe(50))
    return file.read_text()
