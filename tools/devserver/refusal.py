"""What cannot be done here, said in one sentence that ends the program with exit code 1."""

from pathlib import Path

TAIL = 15


class LauncherError(Exception):
    """Foreseeable: the user reads the sentence, never a traceback."""


def with_log(sentence: str, log: Path) -> LauncherError:
    return LauncherError(f"{sentence}; the end of {log}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in lines[-TAIL:]) or "    (empty)"
