"""Programs beside us: each leads a process group of its own, is noted in a pid file, and ends when
we do."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from signal import SIGTERM, Signals

import psutil

from tools.devserver import families
from tools.devserver.account import Account
from tools.devserver.families import Family

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Program:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    account: Account
    stop_signal: Signals = SIGTERM
    log: Path | None = None  # without one, its output is shown
    for_users: bool = False  # shown as it is, to be read and copied


@dataclass(frozen=True)
class Running:
    program: Program
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Note:
    """What a pid file says; the time of birth tells our process from a later one with the same
    pid."""

    pid: int
    born: float
    stop_signal: int


def start(program: Program, pids: Path) -> Running:
    # A group of its own: Ctrl-C on the terminal comes to us alone, and the order of stopping is
    # ours.
    with program.log.open("ab") if program.log else nullcontext(subprocess.PIPE) as output:
        process = subprocess.Popen(
            program.command,
            env=program.environment,
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=ends_with_us(program.stop_signal),
            **program.account.for_popen(),
        )
    note = Note(process.pid, psutil.Process(process.pid).create_time(), program.stop_signal)
    (pids / program.name).write_text(json.dumps(asdict(note)))
    return Running(program, process)


def stop(running: list[Running], pids: Path) -> None:
    families.end(_families(running))
    for each in running:
        each.process.wait()
        (pids / each.program.name).unlink(missing_ok=True)


def kill(running: list[Running]) -> None:
    families.kill(_families(running))


def reap(pids: Path) -> list[str]:
    """Stop what a run that was killed has left behind; tells the names."""
    left = {path.name: family for path in pids.iterdir() if (family := _left_behind(path)).members}
    families.end(left.values())
    for path in pids.iterdir():
        path.unlink()
    return sorted(left)


def ends_with_us(stop_signal: Signals) -> Callable[[], None] | None:
    """Linux tells a child when its parent has died, even by kill -9; elsewhere the pid files have
    to do."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask_for_the_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:
            os._exit(1)

    return ask_for_the_signal


def _families(running: list[Running]) -> list[Family]:
    return [families.of(each.process.pid, each.program.stop_signal) for each in running]


def _left_behind(path: Path) -> Family:
    text = path.read_text()
    note = Note(**json.loads(text)) if text else None  # none: killed while it wrote
    return families.of(note.pid, note.stop_signal) if note and _is_ours(note) else families.NOBODY


def _is_ours(note: Note) -> bool:
    """When the program has died its group may live on: the kernel gives its pid to no other
    meanwhile."""
    try:
        return bool(abs(psutil.Process(note.pid).create_time() - note.born) < 1)
    except psutil.NoSuchProcess:
        return True
