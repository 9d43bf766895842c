"""A modest client, whose response times are measured, and greedy clients."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException

from tools.devserver import ports

PATIENCE_SECONDS = 60.0


class Modest:
    """One request after another over a persistent connection."""

    def __init__(self, port: int, path: str, token: str) -> None:
        self._connection = HTTPConnection(ports.HOST, port, timeout=PATIENCE_SECONDS)
        self._path, self._headers = path, {"Authorization": f"Bearer {token}"}

    def ask(self) -> float:
        begun = time.perf_counter()
        self._connection.request("GET", self._path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        if answer.getheader("Connection") == "close":
            self._connection.close()
        return time.perf_counter() - begun


@contextmanager
def again_and_again(
    port: int, clients: int, request: Callable[[int], tuple], pause: float
) -> Iterator[None]:
    """Greedy clients, active until the end of the block. pause: seconds between two requests of one
    client; a mere flood of requests is not what is measured."""
    over = threading.Event()

    def go(number: int) -> None:
        while not over.is_set():
            connection = HTTPConnection(ports.HOST, port, timeout=PATIENCE_SECONDS)
            try:
                connection.request(*request(number))
                connection.getresponse().read()
            except (OSError, HTTPException):
                pass
            finally:
                connection.close()
            over.wait(pause)

    threads = [
        threading.Thread(target=go, args=(number,), daemon=True) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


@contextmanager
def connected(port: int, clients: int, sent: bytes) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(clients):
            client = stack.enter_context(
                socket.create_connection((ports.HOST, port), timeout=PATIENCE_SECONDS)
            )
            client.sendall(sent)
        yield


def logged_in(port: int, username: str, password: str) -> str:
    connection = HTTPConnection(ports.HOST, port, timeout=PATIENCE_SECONDS)
    body = json.dumps({"username": username, "password": password})
    connection.request("POST", "/api/auth/login/", body, {"Content-Type": "application/json"})
    token = str(json.loads(connection.getresponse().read())["token"])
    connection.close()
    return token
