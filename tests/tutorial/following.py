"""Follows a page: writes its files, runs its commands, and holds what they print against the
page."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

FENCED = re.compile(
    r"^```(?P<language>\w+)(?: (?P<path>\S+))?\n(?P<content>.*?)^```$", re.DOTALL | re.MULTILINE
)
# On a line of its own: any lines. Within one: whatever is not the same each time.
ANYTHING = "…"
# What the shell says when a command is not at its end.
GOES_ON = "> "


class File(NamedTuple):
    path: str
    content: str


class Run(NamedTuple):
    command: str
    output: str


def steps(page: str) -> Iterator[File | Run]:
    """What the reader does, in the order of the page."""
    for block in FENCED.finditer(page):
        if block["path"]:
            yield File(block["path"], block["content"])
        elif block["language"] == "console":
            yield from _runs(block["content"])


def follow(step: File | Run, *, folder: Path, environment: Mapping[str, str]) -> None:
    if isinstance(step, File):
        (folder / step.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / step.path).write_text(step.content)
        return
    printed = subprocess.run(
        ["bash", "-c", step.command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    ).stdout
    assert as_shown(step.output, printed), (
        f"$ {step.command}\n{printed}\nThe page shows:\n{step.output}"
    )


def as_shown(shown: str, printed: str) -> bool:
    lines = "".join(
        r"(?:.*\n)*"
        if line.strip() == ANYTHING
        else ".*".join(map(re.escape, line.split(ANYTHING))) + r"\n"
        for line in shown.splitlines()
    )
    return re.fullmatch(lines, printed) is not None


def _runs(content: str) -> Iterator[Run]:
    for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        more = list(takewhile(lambda line: line.startswith(GOES_ON), lines[1:]))
        command = "".join([lines[0], *(line.removeprefix(GOES_ON) for line in more)]).rstrip("\n")
        yield Run(command, "".join(lines[1 + len(more) :]))
