"""The commands' common class: what they print cannot control the reader's terminal."""

from typing import Any, cast

from django.core.management.base import BaseCommand, OutputWrapper

from .output import escape


class EscapedOutput(OutputWrapper):
    """Standard output or error with the control characters of its text escaped.

    A name, a reason or an error may hold an escape sequence of a terminal, or characters that
    reverse the direction of a line.
    """

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]
        super().write(escape(str(msg)), style_func, ending)

    @property
    def raw(self) -> Any:
        """The stream itself, for a program that moves the cursor; it escapes what it prints."""
        return self._out


class EscapingCommand(BaseCommand):
    stdout: EscapedOutput
    stderr: EscapedOutput

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.stdout = EscapedOutput(cast(Any, self.stdout)._out)
        errors = EscapedOutput(cast(Any, self.stderr)._out)
        errors.style_func = self.stderr.style_func
        self.stderr = errors

    def execute(self, *args: Any, **options: Any) -> Any:
        # Django would wrap these streams itself.
        if stdout := options.pop("stdout", None):
            self.stdout = EscapedOutput(stdout)
        if stderr := options.pop("stderr", None):
            self.stderr = EscapedOutput(stderr)
        return super().execute(*args, **options)
