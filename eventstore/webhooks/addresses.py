"""Which addresses webhooks may be sent to: a URL as it is registered, and the network addresses
that its name resolves to.

A name is resolved for each call, every address is checked, and the connection goes to the address
that was checked (DNS rebinding; OWASP, Server-Side Request Forgery Prevention).
"""

import re
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from queue import Empty, SimpleQueue
from typing import NamedTuple
from urllib.parse import urlsplit

from eventstore import settings

LONGEST = 2048
NOT_PUBLIC = "The host has no public address, or one that is not public."
# The name of a host, or an IPv4 address.
NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
VISIBLE = re.compile(r"[!-~]+")
DEFAULT_PORTS = {"https": 443, "http": 80}
# Look-ups in progress in one process. One may go on after its caller has given up.
LOOK_UPS = 32

# Not public, although the registries do not say so: translations of IPv4 addresses (NAT64, 6to4 and
# its relays, Teredo, SIIT, IPv4-compatible), and addresses of metadata services (Azure, Oracle).
REFUSED_NETWORKS = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",
            "192.0.0.0/24",
            "192.88.99.0/24",
            "::/96",
            "::ffff:0:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "2001::/32",
            "2002::/16",
            "fec0::/10",
        ),
    )
)

Resolver = Callable[[str, int], Sequence[str]]


class AddressRefused(ValueError):
    """Webhooks are not sent to this address."""


class NotResolved(OSError):
    """The name of the host has no address, or its name server did not answer in time."""


class Target(NamedTuple):
    """The parts of a URL. host: without the brackets of an IPv6 address. path: with the query."""

    scheme: str
    host: str
    port: int
    path: str


def parse(url: str) -> Target:
    """Raises AddressRefused, with a sentence for the owner."""
    if len(url) > LONGEST or not VISIBLE.fullmatch(url):
        raise AddressRefused(f"Expected at most {LONGEST} visible ASCII characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"Not a URL: {error}.") from None
    schemes = ("https", "http") if settings.webhook_allow_http() else ("https",)
    if parts.scheme not in schemes:
        raise AddressRefused("Only https:// addresses are allowed.")
    if "@" in parts.netloc:
        raise AddressRefused("A user name or password in the URL is not allowed.")
    if "#" in url:
        raise AddressRefused("A fragment in the URL is not allowed.")
    host = parts.hostname or ""
    is_valid = bool(NAME.fullmatch(host))
    if ":" in host:
        with suppress(ValueError):
            is_valid = IPv6Address(host).scope_id is None
    if "\\" in url or not is_valid:
        raise AddressRefused("The host is not a valid name. Write a name in other letters as IDNA.")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    ports = settings.webhook_ports()
    if port == 0 or (ports and port not in ports):
        allowed = ", ".join(map(str, ports))
        raise AddressRefused(f"Port {port} is not allowed. Allowed ports: {allowed}.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path)


def check(address: str) -> None:
    """Raises AddressRefused if a network address is not public."""
    found: IPv4Address | IPv6Address | None
    try:
        found = ip_address(address)
    except ValueError:
        found = None
    if found is None or not is_allowed(found):
        # The same as for a name that does not exist: the owner of an endpoint must not learn which
        # names our network has, and what they resolve to.
        raise AddressRefused(NOT_PUBLIC)


def is_allowed(address: IPv4Address | IPv6Address) -> bool:
    if any(address in ip_network(each) for each in settings.webhook_networks()):
        return True
    if isinstance(address, IPv6Address) and (
        address.ipv4_mapped is not None or address.scope_id is not None
    ):
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in each for each in REFUSED_NETWORKS)
    )


def resolve(target: Target, resolver: Resolver, *, seconds: float) -> Sequence[str]:
    """The addresses of the host, all of them public. Raises AddressRefused, NotResolved."""
    look_ups = _look_ups
    if not look_ups.acquire(timeout=seconds):
        raise NotResolved("Too many look-ups of names are in progress.")
    answer: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            answer.put(resolver(target.host, target.port))
        except Exception as error:  # noqa: BLE001  the caller raises it
            answer.put(error)
        finally:
            look_ups.release()

    # getaddrinfo has no time limit of its own, so it runs in a thread that may be left behind.
    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except Empty:
        raise NotResolved(f"The look-up of {target.host} took too long.") from None
    if isinstance(found, Exception) or not found:
        raise NotResolved(NOT_PUBLIC) from None
    for address in found:
        check(address)
    return found


def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses that the operating system finds, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


_look_ups = threading.BoundedSemaphore(LOOK_UPS)
