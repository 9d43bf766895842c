"""SIGTERM: requests of open connections, and of new ones while readiness says "draining", get
responses; no client is dropped."""

import json
import os
import signal
import subprocess
import threading
import time
from http.client import HTTPConnection

import pytest

from tools.devserver import ports, programs

from .conftest import SETTINGS, Web, wait_until_live

CLIENTS = 16
DRAIN = SETTINGS | {"WEB_SILENT_SECONDS": "30", "WEB_DRAIN_SECONDS": "1.5"}


class Client(threading.Thread):
    """Sends requests until the server announces its end. Like a load balancer, it opens no
    connection after readiness has failed."""

    def __init__(self, port, gone, *, kept):
        super().__init__()
        self.port, self.gone, self.kept = port, gone, kept
        self.answered, self.dropped, self.closed_in_order = 0, [], 0

    def run(self):
        connection = None
        while connection is not None or not self.gone.is_set():
            connection = connection or HTTPConnection(ports.HOST, self.port, timeout=30)
            try:
                connection.request("GET", "/health/live")
                answer = connection.getresponse()
                assert answer.read() == b'{"status": "live"}'
            except OSError as error:
                self.dropped.append(error)
                return
            self.answered += 1
            if answer.getheader("Connection") == "close":
                self.closed_in_order += 1
            if not self.kept or answer.getheader("Connection") == "close":
                connection.close()
                connection = None


@pytest.mark.timeout(120)
def test_nobody_is_dropped(tmp_path):
    web, gone = Web(ports.free(), tmp_path / "log"), threading.Event()
    with web.log.open("w") as log:
        server = subprocess.Popen(
            programs.web(web.port, {}).command, env=os.environ | DRAIN, stderr=log
        )
    clients = [Client(web.port, gone, kept=number % 2 == 0) for number in range(CLIENTS)]
    try:
        wait_until_live(web)
        for client in clients:
            client.start()
        while min(client.answered for client in clients) < 20:
            time.sleep(0.02)
        server.send_signal(signal.SIGTERM)
        while not draining(web.port):
            time.sleep(0.02)
        gone.set()
        for client in clients:
            client.join()
        assert server.wait(30) == 0
    finally:
        gone.set()
        server.kill()
        server.wait()
    assert [client.dropped for client in clients if client.dropped] == []
    assert all(client.closed_in_order for client in clients if client.kept)


def draining(port):
    """Whether every process says so; among so many requests, both processes are likely to
    respond."""
    return all(ready(port) == (503, "Draining") for _ in range(10))


def ready(port):
    connection = HTTPConnection(ports.HOST, port, timeout=30)
    connection.request("GET", "/health/ready")
    answer = connection.getresponse()
    code = "" if answer.status == 200 else json.loads(answer.read())["code"]
    connection.close()
    return answer.status, code


@pytest.mark.timeout(120)
def test_what_is_under_way_is_finished_and_idle_connections_are_closed(tmp_path):
    web = Web(ports.free(), tmp_path / "log")
    with web.log.open("w") as log:
        server = subprocess.Popen(
            programs.web(web.port, {}).command,
            env=os.environ | DRAIN | {"WEB_DRAIN_SECONDS": "0"},
            stderr=log,
        )
    try:
        wait_until_live(web)
        idle = HTTPConnection(ports.HOST, web.port, timeout=30)
        idle.request("GET", "/health/live")
        idle.getresponse().read()
        begun = HTTPConnection(ports.HOST, web.port, timeout=30)
        begun.putrequest("POST", "/api/auth/login/")
        begun.putheader("Content-Type", "application/json")
        begun.putheader("Content-Length", "2")
        begun.endheaders()
        time.sleep(0.3)
        server.send_signal(signal.SIGTERM)
        assert idle.sock.recv(1) == b"", "closed"
        begun.send(b"{}")
        answer = begun.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (400, "close")
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()
