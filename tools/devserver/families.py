"""A program with all that it has started: how to find them, even when it has died, and how to end
them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from signal import SIGKILL, SIGTERM
from time import monotonic, sleep

import psutil

PATIENCE = 10.0


@dataclass(frozen=True)
class Family:
    """group: its number, which is the leader's pid and lives on with the last of its members."""

    group: int
    asked: list[psutil.Process]
    members: list[psutil.Process]
    stop_signal: int


NOBODY = Family(-1, [], [], 0)


def of(pid: int, stop_signal: int) -> Family:
    """All of the group that the program leads, and its descendants in groups of their own
    (PostgreSQL's)."""
    group = _members(pid)
    leader = [process for process in group if process.pid == pid]
    descendants = [child for process in leader for child in _descendants(process)]
    # A leader knows how to stop the others in good order.
    return Family(pid, leader or group, [*group, *descendants], stop_signal)


def end(families: Iterable[Family]) -> None:
    families = list(families)
    for family in families:
        _send(family.asked, family.stop_signal)
    _alive_after(PATIENCE, [asked for family in families for asked in family.asked])
    # Whoever is still here has been forgotten by its leader, does not listen, or was started while
    # we looked.
    left = _alive_after(
        0, [each for family in families for each in {*family.members, *_members(family.group)}]
    )
    _send(left, SIGTERM)
    _send(_alive_after(1, left), SIGKILL)
    _alive_after(PATIENCE, left)


def kill(families: Iterable[Family]) -> None:
    for family in families:
        _send(family.members, SIGKILL)


def _alive_after(seconds: float, processes: list[psutil.Process]) -> list[psutil.Process]:
    bound = monotonic() + seconds
    while (alive := [process for process in processes if _lives(process)]) and monotonic() < bound:
        sleep(0.02)
    return alive


def _lives(process: psutil.Process) -> bool:
    """A zombie does not: in a container there may be nobody to bury it."""
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
