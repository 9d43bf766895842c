"""Errors of a request that are found before any command is decided or any row is read."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rest_framework.exceptions import APIException, ErrorDetail, NotFound, ValidationError

# Where an invalid part is, and so the member of an error that names it: the body, the query, or a
# header.
POINTER, PARAMETER, HEADER = "pointer", "parameter", "header"


class Fault(NamedTuple):
    """One invalid part of a request.

    pointer: a JSON Pointer into the body as a URI fragment (RFC 6901); with another member, the
    name of a query parameter or of a header. member: of the problem's error that has it.
    """

    pointer: str
    detail: str
    code: str
    member: str = POINTER

    def as_error(self) -> dict[str, str]:
        return {self.member: self.pointer, "detail": self.detail, "code": self.code}


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
    """A body needs a Content-Length; one in chunks is not supported."""

    # Django reads a body without it as empty, so a command would run without its parameters.
    status_code = 411
    default_detail = "Content-Length is required. Chunked request bodies are not supported."


def all_of(*readers: Callable[[], Any]) -> list[Any]:
    """What the readers return. If several parts of the request are invalid, one error names them
    all."""
    values, errors = list[Any](), list[Malformed | ValidationError]()
    for read in readers:
        try:
            values.append(read())
        except (Malformed, ValidationError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Malformed(*(fault for error in errors for fault in faults(error)))
    return values


def faults(error: Malformed | ValidationError) -> tuple[Fault, ...]:
    if isinstance(error, Malformed):
        return error.faults
    return tuple(_faults(error.detail, "#"))


def _faults(detail: Any, pointer: str) -> Iterator[Fault]:
    """One for each of DRF's errors, which are nested like the request."""
    if isinstance(detail, dict):
        for name, each in detail.items():
            yield from _faults(
                each, pointer if name == "non_field_errors" else inside(pointer, name)
            )
    elif isinstance(detail, list):
        for index, each in enumerate(detail):
            yield from _faults(
                each, pointer if isinstance(each, ErrorDetail) else inside(pointer, index)
            )
    else:
        yield Fault(pointer, str(detail), detail.code)


def inside(pointer: str, part: str | int) -> str:
    """The pointer, one step deeper. A lone surrogate in a name is escaped: UTF-8 cannot encode
    it."""
    name = str(part).replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{name.encode('utf-8', 'backslashreplace').decode()}"
