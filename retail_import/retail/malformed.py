"""Errors of malformed files."""

from collections.abc import Callable, Sequence


class MalformedLine(ValueError):
    """A line is malformed. line_number: counted from 1, with the header. invoice: that it belongs
    to, empty if that cannot be read. fields: of the line, as far as they could be read."""

    def __init__(
        self, line_number: int, reason: str, invoice: str = "", fields: Sequence[str] = ()
    ) -> None:
        super().__init__(line_number, reason)
        self.line_number = line_number
        self.reason = reason
        self.invoice = invoice
        self.fields = fields

    def __str__(self) -> str:
        return f"Line {self.line_number}: {self.reason}."


class UnreadableFile(ValueError):
    """The file as a whole cannot be read as CSV; the message says what it is."""


class BadValue(ValueError):
    """A field is malformed; the reader adds the line number and makes a MalformedLine."""


# Is called with each malformed line; the reader goes on with the next one.
Report = Callable[[MalformedLine], None]


def refuse(line: MalformedLine) -> None:
    raise line
