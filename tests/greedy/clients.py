"""A modest client, whose time for each answer is taken, and greedy ones, each in its own way."""

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
    """One request after another over a kept connection."""

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
    """Greedy clients at work until the end of the block. pause: seconds, for mere numbers are no
    matter of bounds."""
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
