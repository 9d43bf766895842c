"""Clock jumps by libfaketime, if it is installed (Debian: `apt-get install faketime`)."""

from pathlib import Path

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")


class Clock:
    """The clock of web and workers. The database, which deadlines use, keeps the right time."""

    def __init__(self, folder: Path) -> None:
        self.library = next(
            (str(found) for pattern in LIBRARIES for found in Path("/").glob(pattern[1:])), ""
        )
        self.file = folder / "clock"
        self.set_right()

    @property
    def environment(self) -> dict[str, str]:
        if not self.library:
            return {}
        return {
            "LD_PRELOAD": self.library,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
        }

    def jump(self, seconds: int) -> None:
        self.file.write_text(f"{seconds:+d}s\n")

    def set_right(self) -> None:
        self.jump(0)
