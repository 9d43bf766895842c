"""The connector as Kafka Connect reports it, by its REST interface."""

import json
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

# Its name in deploy/debezium/outbox-connector.json.
NAME = "outbox-connector"
TIMEOUT_SECONDS = 3.0
MAX_ANSWER_BYTES = 1 << 20


class ConnectUnreachable(Exception):
    """Kafka Connect does not answer, or not as it should."""


class Task(NamedTuple):
    """trace: of a task that failed, the first line."""

    number: int
    state: str
    trace: str


class ConnectorState(NamedTuple):
    """state: RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED, RESTARTING; "" for a connector that does
    not exist. A connector runs on while its task has failed."""

    state: str
    tasks: Sequence[Task] = ()

    @property
    def failed(self) -> Sequence[Task]:
        return [each for each in self.tasks if each.state == "FAILED"]


def state(url: str) -> ConnectorState:
    """Raises ConnectUnreachable."""
    status, answer = _get(url, f"/connectors/{NAME}/status")
    if status == 404:
        return ConnectorState("")
    try:
        return ConnectorState(
            str(answer["connector"]["state"]),
            [
                Task(int(each["id"]), str(each["state"]), _first(each.get("trace") or ""))
                for each in answer["tasks"]
            ],
        )
    except (KeyError, TypeError, ValueError):
        raise ConnectUnreachable(f"{url} answers {status}, but not as Kafka Connect does") from None


def _get(url: str, path: str) -> tuple[int, Any]:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", parts.path.rstrip("/") + path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read(MAX_ANSWER_BYTES))
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        raise ConnectUnreachable(f"{url} does not answer: {error}") from None


def _first(trace: str) -> str:
    """The line that names the cause, of a Java stack trace."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return (causes or lines or [""])[-1 if causes else 0]
