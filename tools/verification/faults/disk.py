"""A disk for PostgreSQL that forgets what was not synced when its power is cut, fails on demand,
and may be full."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from struct import Struct

SOURCE = Path(__file__).with_name("disk.c")
NOTE = Struct("@qqq")


def compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")


class Disk:
    """data: what is on it. notes: what each file would lose; see disk.c, which is loaded into
    whoever writes."""

    def __init__(self, data: Path, notes: Path, library: Path) -> None:
        self.data, self.notes = data.resolve(), notes.resolve()
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
            "DISK_NOTES": str(self.notes),
        }

    def fail(self) -> None:
        """From now on nothing can be synced: EIO."""
        (self.notes / "fail").touch()

    def work(self) -> None:
        (self.notes / "fail").unlink(missing_ok=True)

    def lose_power(self) -> int:
        """Take back whatever was not synced; call it when nobody is left who writes. Returns how
        many writes."""
        noted = {int(path.name): path for path in self.notes.iterdir() if path.name.isdigit()}
        return sum(_take_back(path, noted[path.stat().st_ino]) for path in _files(self.data, noted))


def _files(data: Path, noted: Mapping[int, Path]) -> list[Path]:
    files = [Path(folder, name) for folder, _, names in os.walk(data) for name in names]
    return [path for path in files if path.stat().st_ino in noted]


def _take_back(path: Path, notes: Path) -> int:
    """The last write first, so that in the end there is what was there before the first."""
    found = _notes(notes.read_bytes())
    with path.open("r+b") as file:
        for offset, old, size in reversed(found):
            file.seek(offset)
            file.write(old)
            file.truncate(size)
    os.truncate(notes, 0)
    return len(found)


def _notes(kept: bytes) -> list[tuple[int, bytes, int]]:
    found, at = [], 0
    while at + NOTE.size <= len(kept):
        offset, length, size = NOTE.unpack_from(kept, at)
        at += NOTE.size
        found.append((offset, kept[at : at + length], size))
        at += length
    return found
