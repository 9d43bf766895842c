"""A shell in which one command is typed after another, and what each of them prints."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO

LONGEST_SECONDS = 60.0
END = "-- that was all --"


class Terminal:
    def __init__(self, shell: subprocess.Popen[str]) -> None:
        self._shell = shell

    def type(self, command: str) -> str:
        """Variables and functions stay for the commands behind it; there is nobody who would answer
        its questions."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null\necho; echo '{END}'\n")
        self._shell.stdin.flush()
        late = Timer(LONGEST_SECONDS, self._shell.kill)
        late.start()
        try:
            return _as_seen("".join(_until_the_end(self._shell.stdout)))
        finally:
            late.cancel()


@contextmanager
def opened(folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    shell = subprocess.Popen(
        ["bash", "--norc"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Terminal(shell)
    finally:
        shell.kill()
        shell.communicate()


def _until_the_end(printed: IO[str]) -> Iterator[str]:
    for line in printed:
        if line == f"{END}\n":
            return
        yield line
    raise AssertionError(f"the shell has ended, or has said nothing for {LONGEST_SECONDS:.0f} s")


def _as_seen(printed: str) -> str:
    """Whether the last line has ended is not seen; one end of a line is ours."""
    seen = printed.removesuffix("\n")
    return seen if seen.endswith("\n") or not seen else f"{seen}\n"
