"""A data folder for one run at a time: locked while in use; processes that a killed run left behind
are stopped."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from tools.devserver import account, processes
from tools.devserver.errors import LauncherError
from tools.devserver.terminal import say


@contextmanager
def claimed(path: Path) -> Iterator[Path]:
    path = path.absolute()  # the services have another working directory
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("a+") as lock:
        if not _locked(lock):
            lock.seek(0)
            owner = lock.read().strip()
            raise LauncherError(f"{path} is in use by process {owner}: stop that one first")
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        pids(path).mkdir(exist_ok=True)
        if left := processes.reap(pids(path)):
            say(f"an earlier run was killed; stopped its processes: {', '.join(left)}")
        yield path


@contextmanager
def throwaway() -> Iterator[Path]:
    """A new folder, removed at the end; also removes those of earlier runs that were killed."""
    base = _base()
    with ExitStack() as claim:
        with _exclusive(base):
            _remove_abandoned(base)
            path = Path(tempfile.mkdtemp(dir=base))
            path.chmod(0o711)  # the services' user traverses it to its own folders
            claim.enter_context(claimed(path))
        try:
            yield path
        finally:
            with _exclusive(base):
                account.remove(path)


def pids(path: Path) -> Path:
    return path / "pids"


def log(path: Path, name: str) -> Path:
    return path / f"{name}.log"


def _locked(lock: TextIO) -> bool:
    # The kernel releases the lock when its holder dies, even by SIGKILL.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _base() -> Path:
    """One folder for each user. It must belong to this user: others can write to TMPDIR too."""
    base = Path(tempfile.gettempdir(), f"orders-{os.getuid()}")
    base.mkdir(mode=0o711, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():
        raise LauncherError(
            f"{base} belongs to another user: remove it or set TMPDIR to another folder"
        )
    return base


@contextmanager
def _exclusive(base: Path) -> Iterator[None]:
    """One process at a time: a folder that is created but not yet locked looks abandoned."""
    with (base / "door").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_abandoned(base: Path) -> None:
    for path in base.iterdir():
        if path.is_dir() and _is_abandoned(path):
            with claimed(path):
                account.remove(path)


def _is_abandoned(path: Path) -> bool:
    with (path / "lock").open("a") as lock:
        return _locked(lock)
