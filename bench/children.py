"""Start programs, and end them with all their child processes."""

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
    """Run a module of the benchmark to its end. Returns the JSON of its last line."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.one", module, *arguments]
    with _session(command, environment) as child:
        output, _ = child.communicate(timeout=TIMEOUT_SECONDS)
    if child.returncode:
        raise SystemExit(f"bench: {module} exited with {child.returncode}")
    return dict(json.loads(output.splitlines()[-1]))


@contextmanager
def member(*command: str, errors: int | None = None) -> Iterator[int]:
    """Run a program alongside; yields its process id. It belongs to this session, which result_of
    ends
    as a whole."""
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
    """User and system time of a process and its children so far, also of those that have ended
    (Linux only)."""
    process = Path(f"/proc/{pid}")
    # The process name in brackets may hold anything. After it, user and system time are fields 12
    # and 13, those of its ended children 14 and 15 (proc(5): utime, stime, cutime, cstime).
    ticks = (process / "stat").read_text().rpartition(")")[2].split()[11:15]
    children = (process / f"task/{pid}/children").read_text().split()
    own = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def raise_on_termination() -> None:
    """Clean up on SIGTERM and SIGHUP as on Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


@contextmanager
def _session(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
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
        # SIGKILL for the whole session: it may have children although it has exited itself.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout:
            child.stdout.close()
