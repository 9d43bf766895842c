"""The addresses of WebSockets, and who may open them.

A browser cannot set the Authorization header of a WebSocket, so the token may be a subprotocol: the
client offers "orders.v1" and "bearer.TOKEN", and the server selects "orders.v1". In a URL the token
would end up in the logs of proxies.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.request import HttpHeaders, validate_host
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed

from access.admission import BearerAuthentication, bearer_token, unexpired
from access.authorization import staff_among
from config import problems
from eventstore import middleware
from eventstore.api.serializers import KEY
from eventstore.live.feed import (
    Admission,
    CloseSocket,
    Feed,
    Follow,
    Holding,
    SocketRequest,
)
from eventstore.log import epochs
from eventstore.projections import freshness
from orders.api import live, public_events

PROTOCOL = "orders.v1"
OFFERED_TOKEN = "bearer."

NUMBER = re.compile("[0-9]{1,18}")


def admit(request: SocketRequest) -> Admission:
    """Raises CloseSocket."""
    # Browsers let pages of other sites open a WebSocket, unlike a request.
    origin = request.headers.get("origin")
    if (
        origin is not None
        and origin not in (*settings.CSRF_TRUSTED_ORIGINS, *settings.CORS_ALLOWED_ORIGINS)
        and not validate_host(urlsplit(origin).hostname or "", settings.ALLOWED_HOSTS)
    ):
        raise CloseSocket(4403, "origin not allowed")
    given = bearer_token(request.headers.get("authorization", ""))
    if given is None:
        offered = (each for each in request.protocols if each.startswith(OFFERED_TOKEN))
        given = next(offered, "").removeprefix(OFFERED_TOKEN).encode("latin-1", "replace")
    try:
        user, token = BearerAuthentication().authenticate_credentials(given)
    except AuthenticationFailed:
        raise CloseSocket(4401, "missing, invalid or expired token") from None
    for address in ADDRESSES:
        if found := address.pattern.fullmatch(request.path):
            numbers = _numbers(request.query, address.known)
            restart = restart_position(numbers["position"])
            if restart is not None:
                numbers |= dict.fromkeys(numbers, 0) | {"position": restart}
            followed = address.follow(user, **found.groupdict(), **numbers)
            restarted = followed.restarted or restart is not None
            return Admission(token.digest, str(user.pk), followed._replace(restarted=restarted))
    raise CloseSocket(4404, "not found")


def still_held(held: Collection[Holding]) -> set[Holding]:
    """Two queries, however many they are."""
    tokens = {each.token for each in held}
    valid = AuthToken.objects.filter(unexpired(), digest__in=tokens, user__is_active=True)
    users = dict(valid.values_list("digest", "user_id"))
    for_staff = {users[each.token] for each in held if each.token in users and _is_for_staff(each)}
    staff = staff_among(for_staff) if for_staff else set()
    return {
        each
        for each in held
        if each.token in users and (not _is_for_staff(each) or users[each.token] in staff)
    }


def _is_for_staff(held: Holding) -> bool:
    return live.is_for_staff(held.topic)


def no_socket(status: int, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """The headers and the body of the response to a request that is no valid WebSocket
    handshake."""
    detail = "Not a valid WebSocket handshake (RFC 6455). This server accepts only WebSockets."
    request = HttpRequest()
    request.META = HttpHeaders.to_wsgi_names(headers)
    response = middleware.answered(
        request, lambda request: problems.response(request, status, "NoSocket", detail)
    )
    return dict(response.items()), response.content


def restart_position(position: int) -> int | None:
    """The position from which a client has to restart because it may have seen events that the log
    has lost; None if it has not.

    A position is never used twice. So a position above all that were ever used is from another log,
    and the client restarts from 0.
    """
    if lost := epochs.lost_behind(position, epochs.present()):
        return lost.intact
    return 0 if position > freshness.last_given() else None


def _numbers(query: str, known: Mapping[str, str]) -> dict[str, int]:
    """known: query parameter -> argument of the address's follow function. A missing parameter is
    0, the beginning."""
    given = parse_qsl(query, keep_blank_values=True)
    if len(dict(given)) < len(given) or any(
        name not in known or not NUMBER.fullmatch(value) for name, value in given
    ):
        raise CloseSocket(
            4400,
            f"expected {' or '.join(known)}, each at most once, a whole number",
        )
    return dict.fromkeys(known.values(), 0) | {known[name]: int(number) for name, number in given}


class Address(NamedTuple):
    """path: {name} is a key. known: query parameter -> argument of follow, which says where to
    begin."""

    path: str
    follow: Callable[..., Follow]
    known: Mapping[str, str]

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"{(\w+)}", rf"(?P<\1>{KEY})", self.path))


ADDRESSES = (
    Address("/ws/orders/{order_id}/", live.order, {"after": "version", "position": "position"}),
    Address("/ws/customers/me/", live.orders, {"after": "position", "position": "position"}),
)

FEED = Feed(PROTOCOL, public_events.types(), admit, live.items, still_held, no_socket)
