"""A RabbitMQ of our own: the server of the system's package, on loopback, with ports, data and
Erlang port mapper of its own, so that it meets no other RabbitMQ of this machine."""

import secrets
import sys
from pathlib import Path

import amqp

from tools.devserver import ports
from tools.devserver.account import Account
from tools.devserver.environment import with_settings
from tools.devserver.errors import LauncherError
from tools.devserver.ports import HOST
from tools.devserver.processes import Program

NAME = "rabbitmq"
SERVERS = (
    Path("/usr/lib/rabbitmq/lib"),
    Path("/opt/rabbitmq"),
    Path("/usr/local/lib/rabbitmq/lib"),
)
USER = "orders"


def missing() -> str:
    """What is missing to run a RabbitMQ here; "" when nothing is."""
    return "" if _server() else "RabbitMQ (Debian: apt-get install rabbitmq-server)"


def program(home: Path, *, port: int, log: Path, owner: Account, properties: str = "") -> Program:
    """properties: lines that add to ours. Raises LauncherError without RabbitMQ."""
    server = _server()
    if server is None:
        raise LauncherError(f"Needed: {missing()}. Install it, or set RABBITMQ_URL.")
    data = home / NAME
    if not data.exists():
        owner.make_folder(data)
    if not _password(home).exists():
        owner.write(_password(home), secrets.token_urlsafe())
    configuration = home / "rabbitmq.conf"
    password = _password(home).read_text()
    owner.write(configuration, _configuration(port, password) + properties)
    mapper = ports.free()
    return Program(
        name=NAME,
        # The port mapper belongs to the same process group, and ends with it.
        command=("sh", "-c", f"epmd -address {HOST} -port {mapper} & exec '{server}'"),
        environment=with_settings(
            {
                "HOME": str(data),
                "ERL_EPMD_PORT": str(mapper),
                "ERL_EPMD_ADDRESS": HOST,
                "RABBITMQ_NODENAME": "orders@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": HOST,
                "RABBITMQ_NODE_PORT": str(port),
                "RABBITMQ_DIST_PORT": str(ports.free()),
                "RABBITMQ_CONFIG_FILE": str(configuration),
                "RABBITMQ_MNESIA_BASE": str(data),
                "RABBITMQ_LOGS": "-",
                "RABBITMQ_LOG_BASE": str(data),
                "ERL_CRASH_DUMP_SECONDS": "0",
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "rabbitmq.plugins"),
                "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
            }
        ),
        folder=data,
        account=owner,
        log=log,
    )


def control() -> Path:
    """rabbitmqctl, which runs with the environment of the program. Raises LauncherError."""
    server = _server()
    if server is None:
        raise LauncherError(f"Needed: {missing()}.")
    return server.with_name("rabbitmqctl")


def watch(address: str, pattern: str) -> str:
    """The command that shows what arrives under a routing key; it runs in any folder."""
    program = f"{sys.executable} -m tools.devserver.watch_rabbitmq"
    return f"PYTHONPATH='{Path(__file__).parents[2]}' {program} '{address}' '{pattern}'"


def url(home: Path, port: int) -> str:
    return f"amqp://{USER}:{_password(home).read_text()}@{HOST}:{port}/"


def answers(home: Path, port: int) -> bool:
    try:
        with amqp.Connection(
            f"{HOST}:{port}", userid=USER, password=_password(home).read_text(), connect_timeout=2
        ):
            return True
    except (OSError, amqp.exceptions.AMQPError):
        return False


def _server() -> Path | None:
    binary = "rabbitmq_server-*/sbin/rabbitmq-server"
    return next((each for place in SERVERS for each in place.glob(binary)), None)


def _configuration(port: int, password: str) -> str:
    return f"""\
listeners.tcp.1 = {HOST}:{port}
default_user = {USER}
default_pass = {password}
default_user_tags.administrator = true
loopback_users = none
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
log.console.level = warning
"""


def _password(home: Path) -> Path:
    return home / "rabbitmq.password"
