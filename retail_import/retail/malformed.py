"""Errors of malformed files."""


class MalformedLine(ValueError):
    """A line is malformed. line_number: counted from 1, with the header."""

    def __init__(self, line_number: int, reason: str) -> None:
        super().__init__(line_number, reason)
        self.line_number = line_number
        self.reason = reason

    def __str__(self) -> str:
        return f"Line {self.line_number}: {self.reason}."


class BadValue(ValueError):
    """A field is malformed; the reader adds the line number and raises MalformedLine."""
