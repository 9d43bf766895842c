"""Child programs: each leads its own process group, has a pid file, and ends when this process
ends."""

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

from tools.devserver import process_tree
from tools.devserver.account import Account
from tools.devserver.process_tree import ProcessTree

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Program:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    account: Account
    stop_signal: Signals = SIGTERM
    log: Path | None = None  # None: its output goes to the terminal
    for_users: bool = False  # output without the name, to be read and copied


@dataclass(frozen=True)
class Running:
    program: Program
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Note:
    """The contents of a pid file. born: creation time, which distinguishes our process from a later
    one with the same pid."""

    pid: int
    born: float
    stop_signal: int


def start(program: Program, pids: Path) -> Running:
    # A group of its own: Ctrl-C reaches only this process, which stops the others in order.
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
    process_tree.end(_trees(running))
    for each in running:
        each.process.wait()
        (pids / each.program.name).unlink(missing_ok=True)


def kill(running: list[Running]) -> None:
    process_tree.kill(_trees(running))


def reap(pids: Path) -> list[str]:
    """Stop the processes that a killed run has left behind. Returns their names."""
    left = {path.name: tree for path in pids.iterdir() if (tree := _left_behind(path)).members}
    process_tree.end(left.values())
    for path in pids.iterdir():
        path.unlink()
    return sorted(left)


def ends_with_us(stop_signal: Signals) -> Callable[[], None] | None:
    """For Popen's preexec_fn: Linux sends this signal when the parent dies, even by SIGKILL.

    None on other systems; there, the next run reads the pid files.
    """
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def set_death_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


def _trees(running: list[Running]) -> list[ProcessTree]:
    return [process_tree.of(each.process.pid, each.program.stop_signal) for each in running]


def _left_behind(path: Path) -> ProcessTree:
    text = path.read_text()
    note = Note(**json.loads(text)) if text else None  # empty: killed while writing it
    return (
        process_tree.of(note.pid, note.stop_signal)
        if note and _is_ours(note)
        else process_tree.EMPTY
    )


def _is_ours(note: Note) -> bool:
    """A dead program's group may still exist; the kernel does not reuse its pid until then."""
    try:
        return bool(abs(psutil.Process(note.pid).create_time() - note.born) < 1)
    except psutil.NoSuchProcess:
        return True
