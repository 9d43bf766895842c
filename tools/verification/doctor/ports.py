"""A port of this machine at which nothing listens."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refused_port() -> Iterator[int]:
    """Connections to it are refused; it is taken meanwhile, so that nothing else gets it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # without listening
        yield int(taken.getsockname()[1])
