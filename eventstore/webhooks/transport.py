"""One HTTP request to an endpoint: bounded in time and in size, to an address that was checked,
without redirects, proxies, cookies or credentials."""

import ssl
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import certifi
import httpcore

from eventstore import settings

from . import addresses
from .addresses import AddressRefused, NotResolved, Resolver, Target, system_resolver
from .schedule import Answer

# What is read of a response's body, and what is stored of it.
READ_BYTES = 64 << 10
STORED_BYTES = 2 << 10
USER_AGENT = "eventstore-webhooks/1"


class Deadline:
    """The end of a whole call, by time.monotonic()."""

    def __init__(self, seconds: float) -> None:
        self.began = time.monotonic()
        self.at = self.began + seconds

    def left(self, error: type[Exception] = httpcore.ReadTimeout) -> float:
        """Seconds. Raises the error if none is left."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise error("the call took too long")
        return left

    def passed(self) -> float:
        return time.monotonic() - self.began


class BoundedStream(httpcore.NetworkStream):
    """A connection of which every operation ends with the whole call: a receiver that sends a byte
    now and then gains no time."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self.stream, self.deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, self.deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # The time limit of a socket is that of each send(), so it is set before each.
        connected = self.stream.get_extra_info("socket")
        while buffer:
            connected.settimeout(self.deadline.left(httpcore.WriteTimeout))
            buffer = buffer[connected.send(buffer) :]

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self.deadline.left(httpcore.ConnectTimeout)
        encrypted = self.stream.start_tls(ssl_context, server_hostname, left)
        return BoundedStream(encrypted, self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


class CheckedBackend(httpcore.NetworkBackend):
    """Resolves the host, checks every address and connects to one of these addresses: the name is
    not resolved a second time. TLS still verifies the name."""

    def __init__(self, target: Target, deadline: Deadline, resolver: Resolver) -> None:
        self.target, self.deadline, self.resolver = target, deadline, resolver
        self.backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self.deadline.left(httpcore.ConnectTimeout)
        error: Exception = httpcore.ConnectError("no address")
        for address in addresses.resolve(self.target, self.resolver, seconds=left):
            try:
                left = self.deadline.left(httpcore.ConnectTimeout)
                stream = self.backend.connect_tcp(address, self.target.port, left)
            except httpcore.NetworkError as failed:
                error = failed
            else:
                return BoundedStream(stream, self.deadline)
        raise error


def post(
    url: str, headers: Mapping[str, str], body: bytes, *, resolver: Resolver = system_resolver
) -> Answer:
    """Never raises: what goes wrong is the answer's error."""
    deadline = Deadline(settings.webhook_timeout())
    try:
        return _post(url, headers, body, deadline, resolver)
    except (AddressRefused, NotResolved) as error:
        return Answer(None, deadline.passed(), str(error))
    except (httpcore.TimeoutException, TimeoutError):
        return Answer(None, deadline.passed(), "The call took too long.")
    except Exception as error:  # noqa: BLE001  whatever a foreign server makes of HTTP and TLS
        said = f"{type(error).__name__}: {error}"[:500]
        return Answer(None, deadline.passed(), _storable(said.encode("utf-8", "replace")))


def _post(
    url: str, headers: Mapping[str, str], body: bytes, deadline: Deadline, resolver: Resolver
) -> Answer:
    target = addresses.parse(url)
    context = None
    if target.scheme == "https":
        context = ssl_context(settings.webhook_ca_file() or certifi.where())
    sent = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Connection": "close"}
    with (
        httpcore.ConnectionPool(
            ssl_context=context,
            network_backend=CheckedBackend(target, deadline, resolver),
            max_keepalive_connections=0,
            retries=0,
        ) as pool,
        pool.stream(
            "POST",
            httpcore.URL(
                scheme=target.scheme, host=target.host, port=target.port, target=target.path
            ),
            headers=list((sent | dict(headers)).items()),
            content=body,
        ) as response,
    ):
        found = {name.lower(): value for name, value in response.headers}
        beginning = _beginning(response, deadline)
        status, error = response.status, ""
        if not 200 <= status < 300:
            why = ": redirects are not followed." if 300 <= status < 400 else "."
            error = f"HTTP {status}{why}"
        return Answer(
            status,
            deadline.passed(),
            error,
            _storable(beginning),
            found.get(b"retry-after", b"").decode("latin-1"),
        )


def _beginning(response: httpcore.Response, deadline: Deadline) -> bytes:
    """Reads at most READ_BYTES. A body that does not end in time changes nothing about the status
    that came before it."""
    found = b""
    try:
        for part in response.iter_stream():
            found += part[: READ_BYTES - len(found)]
            deadline.left()
            if len(found) >= READ_BYTES:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass
    return found[:STORED_BYTES]


def _storable(said: bytes) -> str:
    """As text that PostgreSQL stores."""
    return said.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


@cache
def ssl_context(ca_file: str) -> ssl.SSLContext:
    """Verifies the certificate and the name. Made once: it takes some milliseconds."""
    return ssl.create_default_context(cafile=ca_file)
