"""Output on the terminal: our own messages, and each program's output with its name before every
line."""

import sys
from typing import IO

WIDTH = 14
COLOURS = (36, 33, 32, 35, 34)


def say(message: str) -> None:
    _show("local", message)


def copy(output: IO[bytes], name: str | None) -> None:
    """Copy lines until the program closes its output. name: None prints them unchanged."""
    for line in output:
        text = line.decode(errors="replace").rstrip("\n")
        _show(name, text) if name else print(text, flush=True)


def _show(name: str, line: str) -> None:
    label = name.ljust(WIDTH)
    if sys.stdout.isatty():
        label = f"\033[{COLOURS[sum(name.encode()) % len(COLOURS)]}m{label}\033[0m"
    print(f"{label}| {line}", flush=True)
