"""What is wrong with a request as such, before anybody is asked to decide anything."""

from typing import NamedTuple

from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request


class Fault(NamedTuple):
    """pointer: which part of the body, as a JSON Pointer in a fragment (RFC 6901), which query
    parameter, or the name of a header."""

    pointer: str
    detail: str
    code: str


class Malformed(APIException):
    status_code = 400
    default_detail = "Some part of the request is not what it should be."

    def __init__(self, *faults: Fault) -> None:
        super().__init__()
        self.faults = faults


class BodyTooLarge(APIException):
    status_code = 413
    default_detail = "The body is too large."


class Hidden(NotFound):
    """It is there, and none of the user's business: told as if it were not, and noted."""


class LengthRequired(APIException):
    """Django takes a body whose length is not said for an empty one, and a command would be obeyed
    without it."""

    status_code = 411
    default_detail = "Say the body's length (Content-Length); a chunked body is not read."


def demand_length(request: Request) -> None:
    """Before the body is asked for. Raises LengthRequired."""
    if "Transfer-Encoding" in request.headers:
        raise LengthRequired


def inside(pointer: str, part: str | int) -> str:
    """The pointer one step deeper; a lone surrogate in a name is written out, for it could not be
    sent back."""
    name = str(part).replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{name.encode('utf-8', 'backslashreplace').decode()}"
