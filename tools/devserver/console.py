"""What the terminal shows: our own sentences, and the output of each program with its name before
every line."""

import sys
from typing import IO

WIDTH = 9
COLOURS = (36, 33, 32, 35, 34)


def say(sentence: str) -> None:
    _show("local", sentence)


def copy(output: IO[bytes], name: str | None) -> None:
    """Until the program closes its output; without a name as it stands."""
    for line in output:
        text = line.decode(errors="replace").rstrip("\n")
        _show(name, text) if name else print(text, flush=True)


def _show(name: str, line: str) -> None:
    print(f"{_painted(name, name.ljust(WIDTH))}| {line}", flush=True)


def _painted(name: str, text: str) -> str:
    return (
        f"\033[{COLOURS[sum(name.encode()) % len(COLOURS)]}m{text}\033[0m"
        if sys.stdout.isatty()
        else text
    )
