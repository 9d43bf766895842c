"""Errors of a request that are found before any command is decided or any row is read."""

from typing import NamedTuple

from rest_framework.exceptions import APIException, NotFound


class Fault(NamedTuple):
    """One invalid part of a request.

    pointer: a JSON Pointer into the body as a URI fragment (RFC 6901), the name of a query
    parameter, or the name of a header.
    """

    pointer: str
    detail: str
    code: str


class Malformed(APIException):
    status_code = 400
    default_detail = "Some parts of the request are invalid."

    def __init__(self, *faults: Fault) -> None:
        super().__init__()
        self.faults = faults


class BodyTooLarge(APIException):
    status_code = 413
    default_detail = "The request body is too large."


class Hidden(NotFound):
    """The object exists, but the user may not see it. The response is the same as for an object
    that does not exist; the audit log has a line about it."""


class LengthRequired(APIException):
    """Django reads a body without Content-Length as empty, so a command would run without its
    parameters."""

    status_code = 411
    default_detail = "Content-Length is required. Chunked request bodies are not supported."


def inside(pointer: str, part: str | int) -> str:
    """The pointer, one step deeper. A lone surrogate in a name is escaped: UTF-8 cannot encode
    it."""
    name = str(part).replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{name.encode('utf-8', 'backslashreplace').decode()}"
