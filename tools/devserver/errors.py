"""Foreseeable errors of the launcher: the user gets one sentence and exit code 1."""

from pathlib import Path

TAIL = 15


class LauncherError(Exception):
    """Shown to the user as its message, without a traceback."""


def with_log(message: str, log: Path) -> LauncherError:
    """With the last lines of a log."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    tail = "\n".join(f"    {line}" for line in lines[-TAIL:]) or "    (empty)"
    return LauncherError(f"{message}; the end of {log}:\n{tail}")
