"""The user that the services run as. PostgreSQL refuses to run as root, so root uses an
unprivileged user, and paths that this user can reach."""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TypedDict

from tools.devserver.errors import LauncherError

UNPRIVILEGED = "nobody"
# Only root can write here, and every user can traverse it.
ELSEWHERE = Path("/var/lib/orders-local")


class PopenUser(TypedDict, total=False):
    user: int
    group: int
    extra_groups: tuple[int, ...]


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    def for_popen(self) -> PopenUser:
        return {"user": self.uid, "group": self.gid, "extra_groups": ()} if self != ours() else {}

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700)
        self._own(path)

    def write(self, path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text)
        self._own(path)

    def reaches(self, path: Path) -> bool:
        return self._succeeds("test", "-x", str(path))

    def can_run(self, binary: Path) -> bool:
        return self._succeeds(str(binary), "--version")

    def _own(self, path: Path) -> None:
        if self != ours():
            os.chown(path, self.uid, self.gid)

    def _succeeds(self, *command: str) -> bool:
        try:
            done = subprocess.run(
                command,
                cwd="/",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **self.for_popen(),
            )
        except OSError:
            return False
        return done.returncode == 0


def ours() -> Account:
    return Account(os.geteuid(), os.getegid())


def of_services() -> Account:
    if os.geteuid() != 0:
        return ours()
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise LauncherError(
            f"PostgreSQL refuses to run as root, and there is no user '{UNPRIVILEGED}': run as an"
            " ordinary user"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def home(folder: Path, account: Account) -> Path:
    """The folder for the services' data: this one, or one in ELSEWHERE if their user cannot reach
    it."""
    if account.reaches(folder):
        return folder
    elsewhere = _elsewhere(folder)
    elsewhere.mkdir(parents=True, exist_ok=True, mode=0o755)
    return elsewhere


def remove(folder: Path) -> None:
    for path in (folder, _elsewhere(folder)):
        if path.exists():
            shutil.rmtree(path)


def executable(binary: Path, site: Path, parts: tuple[str, ...], account: Account) -> Path:
    """The binary, or a copy of it in ELSEWHERE if the services' user cannot reach it.

    site: the folder of the installed packages. parts: what to copy from there.
    """
    if account.reaches(binary) or not binary.exists():
        return binary
    copy = ELSEWHERE / "programs" / _digest(f"{binary} {binary.stat().st_mtime_ns}")
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        # Under a temporary name first, so that an interrupted copy is never used.
        unfinished = Path(mkdtemp(dir=copy.parent))
        for part in parts:
            if (site / part).exists():
                shutil.copytree(site / part, unfinished / part, symlinks=True)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    return copy / binary.relative_to(site)


def _elsewhere(folder: Path) -> Path:
    return ELSEWHERE / "data" / _digest(str(folder.resolve()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
