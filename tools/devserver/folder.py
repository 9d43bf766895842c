"""A data folder that belongs to one run at a time: locked while in use, cleared of what a killed
run left behind."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from tools.devserver import account, processes
from tools.devserver.console import say
from tools.devserver.refusal import LauncherError


@contextmanager
def claimed(path: Path) -> Iterator[Path]:
    path = path.absolute()  # the services work elsewhere
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("a+") as lock:
        if not _locked(lock):
            raise LauncherError(f"{path} is in use by process {_owner(lock)}: stop that one first")
        _sign(lock)
        _clear(path)
        yield path


@contextmanager
def throwaway() -> Iterator[Path]:
    """A new folder that is removed at the end; so are those of earlier runs that were killed."""
    base = _base()
    with ExitStack() as claim:
        with _door(base):
            _remove_abandoned(base)
            path = Path(tempfile.mkdtemp(dir=base))
            path.chmod(0o711)  # the services' user passes through to its own folders
            claim.enter_context(claimed(path))
        try:
            yield path
        finally:
            with _door(base):
                account.remove(path)


def pids(path: Path) -> Path:
    return path / "pids"


def log(path: Path, name: str) -> Path:
    return path / f"{name}.log"


def _locked(lock: TextIO) -> bool:
    # The kernel gives the lock back when its holder dies, however it dies.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: TextIO) -> str:
    lock.seek(0)
    return lock.read().strip()


def _sign(lock: TextIO) -> None:
    lock.truncate(0)
    print(os.getpid(), file=lock, flush=True)


def _clear(path: Path) -> None:
    pids(path).mkdir(exist_ok=True)
    if left := processes.reap(pids(path)):
        say(f"an earlier run was killed; stopped what it had left running: {', '.join(left)}")


def _base() -> Path:
    """One for each user, whose own it must be: others may write to the temporary folder too."""
    base = Path(tempfile.gettempdir(), f"orders-{os.getuid()}")
    base.mkdir(mode=0o711, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():
        raise LauncherError(
            f"{base} belongs to somebody else: remove it or set TMPDIR to another folder"
        )
    return base


@contextmanager
def _door(base: Path) -> Iterator[None]:
    """One at a time: a folder that was made but not yet claimed would pass for an abandoned one."""
    with (base / "door").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield


def _remove_abandoned(base: Path) -> None:
    for path in base.iterdir():
        if path.is_dir() and _is_abandoned(path):
            with claimed(path):
                account.remove(path)


def _is_abandoned(path: Path) -> bool:
    with (path / "lock").open("a") as lock:
        return _locked(lock)
