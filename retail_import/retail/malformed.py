"""What is said of a file that is not what it should be."""


class MalformedLine(ValueError):
    """The file breaks its form; the sentence names the line, counted from 1 with the header."""

    def __init__(self, line_number: int, reason: str) -> None:
        super().__init__(line_number, reason)
        self.line_number = line_number
        self.reason = reason

    def __str__(self) -> str:
        return f"Line {self.line_number}: {self.reason}."


class BadValue(ValueError):
    """One field cannot be read; whoever knows the line turns it into a MalformedLine."""
