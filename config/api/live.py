"""The sockets: every address that can be followed, and who is let in.

A browser cannot send headers with a socket, so that the token may come as a subprotocol too: it
offers "orders.v1" and "bearer.TOKEN", and is answered "orders.v1". In an address it would be
written into the log of every proxy.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.request import HttpHeaders, validate_host
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed

from access.bearer import BearerAuthentication, unexpired
from config import problems
from eventstore import middleware
from eventstore.api.serializers import KEY
from eventstore.live.feed import Admission, CloseSocket, Feed, Follow, SocketRequest
from eventstore.log import epochs
from eventstore.projections import freshness
from orders.api import live
from orders.api import public_events as timeline

PROTOCOL = "orders.v1"
OFFERED_TOKEN = "bearer."

NUMBER = re.compile("[0-9]{1,18}")


def admit(asked: SocketRequest) -> Admission:
    _check_origin(asked.headers)
    user, held = _user(asked)
    for address in ADDRESSES:
        if found := address.pattern.fullmatch(asked.path):
            numbers = _numbers(asked.query, address.known)
            began = began_anew(numbers["position"])
            if began is not None:
                numbers |= dict.fromkeys(numbers, 0) | {"position": began}
            followed = address.follow(user, **found.groupdict(), **numbers)
            restarted = followed.restarted or began is not None
            return Admission(held.digest, str(user.pk), followed._replace(restarted=restarted))
    raise CloseSocket(4404, "nothing has this address")


def still_held(tokens: Collection[str]) -> set[str]:
    good = AuthToken.objects.filter(unexpired(), digest__in=tokens, user__is_active=True)
    return set(good.values_list("digest", flat=True))


def no_socket(status: int, headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """As errors are told everywhere else."""
    detail = "Sockets are served here; this request asks for none, or not as RFC 6455 says."
    request = HttpRequest()
    request.META = HttpHeaders.to_wsgi_names(headers)
    answer = middleware.answered(
        request, lambda asked: problems.response(asked, status, "NoSocket", detail)
    )
    return dict(answer.items()), answer.content


def began_anew(position: int) -> int | None:
    """The position from which a client restarts if it has seen events that the log may have lost;
    else None.

    Positions are not given twice. So what lies beyond all that were ever given was seen in a log
    that is not this one.
    """
    if lost := epochs.lost_behind(position, epochs.present()):
        return lost.intact
    return 0 if position > freshness.last_given() else None


def _check_origin(headers: Mapping[str, str]) -> None:
    """A page of another site may open a socket, unlike a request: only who asked for the page tells
    them apart."""
    origin = headers.get("origin")
    if origin is None or origin in settings.CSRF_TRUSTED_ORIGINS:
        return
    if not validate_host(urlsplit(origin).hostname or "", settings.ALLOWED_HOSTS):
        raise CloseSocket(4403, "pages of this origin are not served")


def _user(asked: SocketRequest) -> tuple[Any, AuthToken]:
    try:
        return BearerAuthentication().authenticate_credentials(
            _token(asked).encode("latin-1", "replace")
        )
    except AuthenticationFailed:
        raise CloseSocket(4401, "a token is needed that is known and has not expired") from None


def _token(asked: SocketRequest) -> str:
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    if scheme == "Bearer":
        return token.strip()
    offered = (
        each.removeprefix(OFFERED_TOKEN)
        for each in asked.protocols
        if each.startswith(OFFERED_TOKEN)
    )
    return next(offered, "")


def _numbers(query: str, known: Mapping[str, str]) -> dict[str, int]:
    """known: parameter -> what it says. What is not given is 0: from the beginning on."""
    given = parse_qsl(query, keep_blank_values=True)
    if len(dict(given)) < len(given) or any(
        name not in known or not NUMBER.fullmatch(n) for name, n in given
    ):
        raise CloseSocket(
            4400, f"{', '.join(known)}: a number from 0 on, given once; nothing else is known here"
        )
    return dict.fromkeys(known.values(), 0) | {known[name]: int(number) for name, number in given}


class Address(NamedTuple):
    """path: {name} stands for a key. known: its parameters, and what each of them says of where to
    begin."""

    path: str
    follow: Callable[..., Follow]
    known: Mapping[str, str]

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"{(\w+)}", rf"(?P<\1>{KEY})", self.path))


ADDRESSES = (
    Address("/ws/orders/{order_id}/", live.order, {"after": "version", "position": "position"}),
    Address("/ws/customers/me/", live.orders, {"after": "position"}),
)

FEED = Feed(PROTOCOL, timeline.types(), admit, live.items, still_held, no_socket)
