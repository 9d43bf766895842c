"""The two programs that fold: one with the code of each version."""

import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from eventstore.codec import decode_json, encode_json

from . import worker

# A page takes milliseconds; an evolve function that never ends must not hang the command.
SILENT_SECONDS = 300.0
ERROR_BYTES = 16 << 10


class VersionFailed(Exception):
    """The code of a version cannot fold the log."""


class Side:
    """label: of the version, for people. folder: of its code."""

    def __init__(self, label: str, folder: Path) -> None:
        self.label = label
        self.errors = TemporaryFile()  # noqa: SIM115  closed by close()
        self.process = subprocess.Popen(
            # -P: the folder of the program is not on the path.
            [sys.executable, "-P", worker.__file__, str(folder)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )

    def hear(self) -> bytes:
        """The next line. Raises VersionFailed."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], SILENT_SECONDS)
        line = self.process.stdout.readline() if ready else b""
        if line:
            return line
        why = self._last_error() if ready else f"nothing for {SILENT_SECONDS:.0f} s"
        raise VersionFailed(f"The code of {self.label} cannot fold the log: {why}")

    def say(self, line: Any) -> None:
        """Raises VersionFailed."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(encode_json(line) + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise VersionFailed(
                f"The code of {self.label} cannot fold the log: {self._last_error()}"
            ) from None

    def show(self, event: int, item: int) -> Any:
        """before, after, error: of one item of the present page."""
        self.say({"event": event, "item": item})
        return decode_json(self.hear())

    def close(self) -> None:
        self.process.kill()
        for each in (self.process.stdin, self.process.stdout, self.errors):
            if each is not None:
                each.close()
        self.process.wait()

    def _last_error(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.errors.seek(max(self.errors.seek(0, os.SEEK_END) - ERROR_BYTES, 0))
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self.process.returncode}"
