"""A disk for PostgreSQL that loses unsynced writes when its power is cut, and fails fsync on
demand."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from struct import Struct

SOURCE = Path(__file__).with_name("disk.c")
ENTRY = Struct("@qqq")


def compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")


class Disk:
    """data: the files on it. journal: a folder with the old contents of unsynced writes. disk.c, an
    LD_PRELOAD library, writes it."""

    def __init__(self, data: Path, journal: Path, library: Path) -> None:
        self.data, self.journal = data.resolve(), journal.resolve()
        self.library = library
        command = [
            str(compiler()),
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-o",
            str(library),
        ]
        subprocess.run([*command, str(SOURCE), "-ldl"], check=True)
        library.chmod(0o755)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "DISK_ROOT": f"{self.data}/",
            "DISK_JOURNAL": str(self.journal),
        }

    def fail(self) -> None:
        """From now on fsync fails with EIO."""
        (self.journal / "fail").touch()

    def work(self) -> None:
        (self.journal / "fail").unlink(missing_ok=True)

    def lose_power(self) -> int:
        """Undo all unsynced writes; call it after the writers have ended. Returns their number."""
        journals = {int(path.name): path for path in self.journal.iterdir() if path.name.isdigit()}
        return sum(
            _undo(path, journals[path.stat().st_ino]) for path in _files(self.data, journals)
        )


def _files(data: Path, journals: Mapping[int, Path]) -> list[Path]:
    files = [Path(folder, name) for folder, _, names in os.walk(data) for name in names]
    return [path for path in files if path.stat().st_ino in journals]


def _undo(path: Path, journal: Path) -> int:
    """The last write first, which restores the contents before the first."""
    found = _entries(journal.read_bytes())
    with path.open("r+b") as file:
        for offset, old, size in reversed(found):
            file.seek(offset)
            file.write(old)
            file.truncate(size)
    os.truncate(journal, 0)
    return len(found)


def _entries(content: bytes) -> list[tuple[int, bytes, int]]:
    found, at = [], 0
    while at + ENTRY.size <= len(content):
        offset, length, size = ENTRY.unpack_from(content, at)
        at += ENTRY.size
        found.append((offset, content[at : at + length], size))
        at += length
    return found
