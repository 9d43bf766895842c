"""Faults of SNS and SQS, with the server of moto as a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch
from urllib.error import URLError
from urllib.request import urlopen

from django.test.utils import override_settings

from eventstore.messaging import brokers, relay
from tools.devserver import ports

from .ports import refused_port

NAME = "sns"
TRANSPORT = "eventstore.messaging.aws.sns.Sns"
PATIENCE_SECONDS = 60
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def missing() -> list[str]:
    """The packages that these faults need and that are not installed."""
    return [name for name in ("boto3", "moto", "flask") if find_spec(name) is None]


@contextmanager
def unreachable() -> Iterator[None]:
    with refused_port() as port, _at(port):
        yield


@contextmanager
def empty() -> Iterator[None]:
    """An account without topics and queues."""
    with _server() as port, _at(port):
        yield


@contextmanager
def made_otherwise() -> Iterator[None]:
    """The queues of the consumers give up after another number of deliveries."""
    with _server() as port:
        with _at(port, receive_limit=99):
            administration = brokers.administration(NAME)
            administration.create(relay.published_by(NAME), brokers.readings(NAME))
        with _at(port):
            yield


@contextmanager
def _at(port: int, **more: Any) -> Iterator[None]:
    options = {"TRANSPORT": TRANSPORT, "region": "eu-central-1", **more}
    options["endpoint"] = f"http://127.0.0.1:{port}"
    with (
        patch.dict(os.environ, CREDENTIALS),
        override_settings(EVENTSTORE_BROKERS={NAME: options}),
    ):
        yield


@contextmanager
def _server() -> Iterator[int]:
    port = ports.free()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the server of moto does not answer")
            time.sleep(0.1)
        yield port
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> bool:
    try:
        return bool(urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=5))
    except URLError:
        return False
