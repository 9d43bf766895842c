"""Programs that we start, and that are surely ended, with all that they started."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 240.0
GRACE_SECONDS = 5.0


def result_of(module: str, *arguments: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run one of our programs to its end; the JSON of its last line."""
    with _family(
        [sys.executable, "-W", "ignore", "-m", "bench.one", module, *arguments], environment
    ) as child:
        output, _ = child.communicate(timeout=TIMEOUT_SECONDS)
    if child.returncode:
        raise SystemExit(f"bench: {module} ended with {child.returncode}")
    return dict(json.loads(output.splitlines()[-1]))


@contextmanager
def member(*command: str, errors: int | None = None) -> Iterator[int]:
    """A program beside this one, for a while, by its process id; it belongs to our family, which
    has one end."""
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
    )
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def cpu_seconds(pid: int) -> float:
    """What a program and all that it has started have used so far, of the system too; on Linux."""
    process = Path(f"/proc/{pid}")
    # The name stands in brackets and may hold anything; behind it, user and system are the twelfth
    # and the thirteenth.
    user, system = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
    started = (process / f"task/{pid}/children").read_text().split()
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") + sum(
        cpu_seconds(int(each)) for each in started
    )


def raise_on_termination() -> None:
    """Whoever ends us by a signal finds everything put away, as with Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


@contextmanager
def _family(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    # At once and without asking: whatever it started is in its session too, also when it has itself
    # ended.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout:
        child.stdout.close()
