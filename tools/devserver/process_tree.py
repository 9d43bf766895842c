"""A program with all processes that it has started: find them, even after the program has died, and
end them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from signal import SIGKILL, SIGTERM
from time import monotonic, sleep

import psutil

PATIENCE = 10.0


@dataclass(frozen=True)
class ProcessTree:
    """group: the process group, which has the leader's pid and exists until its last member ends.

    first: the processes that get the stop signal: the leader, or all if it has died.
    """

    group: int
    first: list[psutil.Process]
    members: list[psutil.Process]
    stop_signal: int


EMPTY = ProcessTree(-1, [], [], 0)


def of(pid: int, stop_signal: int) -> ProcessTree:
    """The group that the program leads, and descendants in groups of their own (PostgreSQL's)."""
    group = _members(pid)
    leader = [process for process in group if process.pid == pid]
    descendants = [child for process in leader for child in _descendants(process)]
    # The leader stops the others in order.
    return ProcessTree(pid, leader or group, [*group, *descendants], stop_signal)


def end(trees: Iterable[ProcessTree]) -> None:
    trees = list(trees)
    for tree in trees:
        _send(tree.first, tree.stop_signal)
    _alive_after(PATIENCE, [process for tree in trees for process in tree.first])
    # What remains was forgotten by its leader, ignores signals, or was started meanwhile.
    left = _alive_after(
        0, [each for tree in trees for each in {*tree.members, *_members(tree.group)}]
    )
    _send(left, SIGTERM)
    _send(_alive_after(1, left), SIGKILL)
    _alive_after(PATIENCE, left)


def kill(trees: Iterable[ProcessTree]) -> None:
    for tree in trees:
        _send(tree.members, SIGKILL)


def _alive_after(seconds: float, processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still live when the time is over; returns early when none does."""
    bound = monotonic() + seconds
    while (alive := [process for process in processes if _lives(process)]) and monotonic() < bound:
        sleep(0.02)
    return alive


def _lives(process: psutil.Process) -> bool:
    """A zombie counts as dead: in a container there may be no init process to reap it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _members(group: int) -> list[psutil.Process]:
    return [
        process for process in psutil.process_iter() if _group(process) == group and _lives(process)
    ]


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def _send(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
