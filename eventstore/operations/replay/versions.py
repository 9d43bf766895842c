"""The code of another version, in a folder of its own."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import ENVIRONMENT_VARIABLE

GIT_SECONDS = 120


class NoSuchVersion(LookupError):
    """Neither a folder nor a commit of the repository."""


def root() -> Path:
    """The folder from which the settings module is imported."""
    name = os.getenv(ENVIRONMENT_VARIABLE, "")
    file = Path(str(sys.modules[name].__file__)).resolve()
    depth = name.count(".") + (file.name == "__init__.py")
    return file.parents[depth]


@contextmanager
def folder_of(version: str) -> Iterator[Path]:
    """version: a folder with the code, or anything that git resolves to a commit. Raises
    NoSuchVersion."""
    if Path(version).is_dir():
        yield Path(version).resolve()
        return
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{version}^{{commit}}")
    # Of the project's part of the repository.
    archive = _git("archive", "--format=tar", commit.decode().strip())
    with TemporaryDirectory(prefix="replay-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(root()), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSuchVersion(f"git cannot be used: {error}") from error
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip() or "no such commit"
        raise NoSuchVersion(f"{arguments[-1]!r} is neither a folder nor a commit of git: {why}")
    return done.stdout
