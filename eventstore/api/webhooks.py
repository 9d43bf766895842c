"""A webhook's endpoint: the signature over the raw body first, then once for each id what follows
from it."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from django.views.decorators.common import no_append_slash
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventstore.commands import inbox
from eventstore.log import context
from eventstore.messages import Command, replace

from . import errors as faults

logger = logging.getLogger(__name__)


class Forged(APIException):
    status_code = 401
    default_detail = "This is not signed, not by whom it should be, or too old."
    # RFC 9110 wants to be told how one would have to say who one is.
    auth_header = "Signature"


class WebhooksShut(APIException):
    status_code = 503
    default_detail = "No secret is set here by which a webhook could be known; nobody is let in."
    wait = 3600


class WebhookView(APIView):
    """source: who calls, as the inbox has it. Whoever knows one of its secrets is let in, and
    nobody else.

    notice: what is read of the body. signed_by: the headers in which the signature comes, and what
    each says.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    source: ClassVar[str]
    notice: ClassVar[type]
    signed_by: ClassVar[Mapping[str, str]]

    @classmethod
    def decode(cls, body: bytes) -> Any:
        """The body as a notice; NUL may be in its texts. Raises faults.Malformed."""
        try:
            return msgspec.json.decode(body, type=cls.notice)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise faults.Malformed(faults.Fault("#", str(error), "invalid")) from None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return no_append_slash(super().as_view(**initkwargs))

    def secrets(self) -> Sequence[str]:
        raise NotImplementedError

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str) -> None:
        """Raises Forged."""
        raise NotImplementedError

    def read(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, Sequence[Command]]:
        """The message's id and what follows from it. Raises faults.Malformed."""
        raise NotImplementedError

    def post(self, request: Request) -> Response:
        faults.demand_length(request)
        body: bytes = request._request.body
        self._let_in(body, request.headers)
        message_id, commands = self.read(body, request.headers)
        new = inbox.receive(
            self.source,
            message_id,
            commands,
            metadata=replace(context.current(), actor=self.source),
        )
        what = f"{len(commands)} commands" if new else "a repeat"
        # The inbox keeps no contents: two lines of one id show whether they differed.
        logger.info(
            "%s said %s: %s, SHA-256 %s",
            self.source,
            message_id,
            what,
            hashlib.sha256(body).hexdigest()[:16],
        )
        return Response({"received": message_id, "repeat": not new})

    def _let_in(self, body: bytes, headers: Mapping[str, str]) -> None:
        secrets = self.secrets()
        if not secrets:
            raise WebhooksShut
        for secret in secrets:
            try:
                return self.verify(body, headers, secret)
            except Forged:
                continue
        raise Forged
