"""Webhook endpoints: verify the signature over the raw body, then enqueue the resulting commands
once for each message id."""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from django.views.decorators.common import no_append_slash
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventstore import log
from eventstore.commands import inbox
from eventstore.messages import Command, replace

from . import requests
from .errors import Fault, Malformed, inside

logger = logging.getLogger(__name__)


class Forged(APIException):
    status_code = 401
    default_detail = "The signature is missing, invalid or expired."
    # RFC 9110 demands a WWW-Authenticate header in every 401.
    auth_header = "Signature"


class WebhooksShut(APIException):
    status_code = 503
    default_detail = "Webhooks are disabled: no signing secret is configured."
    wait = 3600


class WebhookView(APIView):
    """Accepts messages that are signed with one of the secrets.

    source: the sender's name in the inbox. notice: the part of the body that is read. signed_by:
    the headers of the signature, with a description of each.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    source: ClassVar[str]
    notice: ClassVar[type]
    signed_by: ClassVar[Mapping[str, str]]

    @classmethod
    def decode(cls, body: bytes, part: type | None = None) -> Any:
        """The body as a notice, or that part of it which every notice of the sender has. Its texts
        may contain NUL. Raises Malformed."""
        try:
            return msgspec.json.decode(body, type=part or cls.notice)
        except msgspec.ValidationError as error:
            raise Malformed(_fault(str(error))) from None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            requests.parse(body)  # names the place
            raise Malformed(Fault("#", "Invalid JSON.", "not_json")) from None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        # A redirect to the URL with a slash would turn the POST into a GET.
        return no_append_slash(super().as_view(**initkwargs))

    def secrets(self) -> Sequence[str]:
        raise NotImplementedError

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str) -> None:
        """Raises Forged."""
        raise NotImplementedError

    def read(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, Sequence[Command]]:
        """The message's id and the commands that follow from it. Raises Malformed."""
        raise NotImplementedError

    def post(self, request: Request) -> Response:
        requests.require_length(request)
        body: bytes = request._request.body
        secrets = self.secrets()
        if not secrets:
            raise WebhooksShut
        # Signatures are made over text.
        requests.decode(body)
        for secret in secrets:
            try:
                self.verify(body, request.headers, secret)
                break
            except Forged:
                continue
        else:
            raise Forged
        message_id, commands = self.read(body, request.headers)
        new = inbox.receive(
            self.source,
            message_id,
            commands,
            metadata=replace(log.current_metadata(), actor=self.source),
        )
        outcome = f"{len(commands)} commands" if new else "a repeat"
        # The inbox does not store bodies: the digest shows whether two messages with the same id
        # differed.
        digest = hashlib.sha256(body).hexdigest()[:16]
        logger.info("webhook %s %s: %s, SHA-256 %s", self.source, message_id, outcome, digest)
        return Response({"received": message_id, "repeat": not new})


# How msgspec names types -> how JSON does.
JSON_TYPES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
}
MISSING = re.compile("Object missing required field `([^`]+)`")
PLACE = re.compile(r" - at `\$([^`]*)`$")


def _fault(text: str) -> Fault:
    """The fault in an error text of msgspec, which ends with a path such as $.data.object."""
    found = PLACE.search(text)
    pointer, what = "#", PLACE.sub("", text)
    for part in re.findall(r"[^.\[\]]+", found[1] if found else ""):
        pointer = inside(pointer, part)
    if missing := MISSING.fullmatch(what):
        return Fault(inside(pointer, missing[1]), "This field is required.", "required")
    detail = re.sub("`([^`]+)`", lambda name: JSON_TYPES.get(name[1], name[1]), what)
    return Fault(pointer, f"{detail}.", "invalid")
