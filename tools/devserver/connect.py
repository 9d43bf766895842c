"""A Kafka Connect of our own with Debezium's connector for PostgreSQL: distributed, one worker,
REST on loopback.

The connector's file, deploy/debezium/outbox-connector.json, is posted as it stands. Connect's own
EnvVarConfigProvider fills its placeholders from the worker's environment.
"""

import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tools.devserver import jars, kafka
from tools.devserver.account import Account
from tools.devserver.environment import with_settings
from tools.devserver.errors import LauncherError
from tools.devserver.ports import HOST
from tools.devserver.processes import Program

NAME = "connect"
HERE = Path(__file__).parent
POM = HERE / "connect.pom.xml"
ROOT = HERE.parents[1]
CONNECTOR = ROOT / "deploy/debezium/outbox-connector.json"
WORKER = CONNECTOR.with_name("connect-distributed.properties")
# A folder of plugins; each is a folder of jars.
PLUGINS, PLUGIN = "connect-plugins", "debezium-3.6.1"
HEAP = "-Xmx384m"
SLOT = "orders_outbox"
ANSWER_SECONDS = 20.0


def missing() -> str:
    """What is missing to run Kafka Connect here; "" when nothing is."""
    return jars.missing(jars.folder(kafka.NAME), _plugin())


def fetch(seconds: float = jars.FETCH_SECONDS) -> Path:
    """The folder of plugins. Maven downloads Debezium if it is not there.

    Raises LauncherError if it cannot, or not in time.
    """
    kafka.fetch(seconds)
    return jars.fetch(_plugin(), POM, "Debezium", seconds).parent


class Connect:
    """One worker. servers: of Kafka. database: the URL that Debezium connects with. slot: of
    PostgreSQL, and the name of the publication. Its interface is services.Kind."""

    NAME = NAME

    def __init__(self, servers: str, database: str, slot: str = SLOT) -> None:
        self.servers, self.database, self.slot = servers, database, slot

    def program(self, home: Path, *, port: int, log: Path, owner: Account) -> Program:
        """Raises LauncherError without Java, or if Maven cannot download the jars."""
        if absent := missing():
            raise LauncherError(f"Kafka Connect needs {absent}.")
        plugins, folder = fetch(), home / NAME
        if not folder.exists():
            owner.make_folder(folder)
        properties = home / "connect.properties"
        owner.write(properties, _settings(self.servers, port, plugins))
        libraries = jars.folder(kafka.NAME)
        return Program(
            name=NAME,
            command=(
                "java",
                HEAP,
                "-cp",
                f"{libraries}/*",
                f"-Dlog4j2.configurationFile={kafka.LOGGING}",
                "org.apache.kafka.connect.cli.ConnectDistributed",
                str(properties),
            ),
            environment=with_settings(placeholders(self.database, self.slot)),
            folder=folder,
            account=owner,
            log=log,
        )

    def answers(self, home: Path, port: int) -> bool:
        try:
            return ask(url(port), "GET", "/connectors")[0] == 200
        except (OSError, HTTPException, ValueError):  # while it starts, it answers in HTML
            return False


def placeholders(database: str, slot: str) -> dict[str, str]:
    """What the connector's file takes from the environment of Kafka Connect."""
    parts = urlsplit(database)
    return {
        "CDC_DATABASE_HOST": parts.hostname or HOST,
        "CDC_DATABASE_PORT": str(parts.port or 5432),
        "CDC_DATABASE_USER": unquote(parts.username or ""),
        "CDC_DATABASE_PASSWORD": unquote(parts.password or ""),
        "CDC_DATABASE_NAME": parts.path.lstrip("/"),
        "CDC_SLOT": slot,
    }


def url(port: int) -> str:
    return f"http://{HOST}:{port}"


def post(address: str) -> None:
    """Post the connector's file as it stands; one that exists already is left alone. Raises
    LauncherError."""
    status, answer = ask(address, "POST", "/connectors", CONNECTOR.read_bytes())
    if status not in (201, 409):
        raise LauncherError(f"Kafka Connect does not take {CONNECTOR.name}: {status} {answer}")


def how_to_post(address: str) -> str:
    return (
        "curl -sS -X POST -H 'Content-Type: application/json'"
        f" --data @{CONNECTOR.relative_to(ROOT)} {address}/connectors"
    )


def ask(address: str, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """Status and decoded answer of Connect's REST interface. Raises OSError, HTTPException."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        connection.close()


def _plugin() -> Path:
    return jars.folder(PLUGINS) / PLUGIN


def _settings(servers: str, port: int, plugins: Path) -> str:
    return f"""\
{WORKER.read_text()}
bootstrap.servers={servers}
listeners=http://{HOST}:{port}
rest.advertised.host.name={HOST}
plugin.path={plugins}
plugin.discovery=service_load
scheduled.rebalance.max.delay.ms=0
config.storage.replication.factor=1
offset.storage.partitions=1
offset.storage.replication.factor=1
status.storage.partitions=1
status.storage.replication.factor=1
"""
