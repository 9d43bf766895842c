"""A private copy of a file, as plain text, so that it is read once and does not change while it is
imported. It may be a pipe, and gzipped if its name ends in .gz."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, NamedTuple

from .malformed import UnreadableFile

CHUNK = 1 << 20
UTF8_BOM = b"\xef\xbb\xbf"
# What another kind of file begins with, and what to do with it.
KINDS = {
    b"PK\x03\x04": "it is a zip archive or an Excel workbook; unpack it, or save it as CSV",
    b"\x1f\x8b": "it is gzip-compressed; give it a name that ends in .gz, or unpack it",
    b"\xff\xfe": "its text is UTF-16; convert it, or say --encoding utf-16",
    b"\xfe\xff": "its text is UTF-16; convert it, or say --encoding utf-16",
}
ENCODINGS = ("utf-8", "utf-16", "cp1252", "iso-8859-1")


class Copy(NamedTuple):
    """name: of the original. path: of the copy, UTF-8 without a byte order mark if the original's
    encoding was another one or had one. fingerprint: SHA-256 of the copy, the same for the plain
    and the gzipped file."""

    name: str
    path: Path
    fingerprint: str


@contextmanager
def copied(path: Path, *, encoding: str = "utf-8") -> Iterator[Copy]:
    """The copy is deleted at the end. Raises UnreadableFile, OSError."""
    with NamedTemporaryFile(prefix="import-") as file:
        digest = hashlib.sha256()
        for chunk in _checked(_text(_chunks(path), encoding), path, encoding):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        yield Copy(path.name, Path(file.name), digest.hexdigest())


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as binary:
        if path.suffix.lower() != ".gz":
            yield from _read(binary)
            return
        try:
            with gzip.GzipFile(fileobj=binary) as unpacked:
                yield from _read(unpacked)
        except EOFError:
            raise UnreadableFile("the compressed file is truncated") from None
        except (gzip.BadGzipFile, zlib.error):
            raise UnreadableFile("the file is not gzip, or is damaged") from None


def _read(binary: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while chunk := binary.read(CHUNK):
        yield chunk


def _text(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """UTF-8 is passed on as it is: the reader names the line that is not."""
    if encoding == "utf-8":
        first = next(chunks, b"")
        yield first.removeprefix(UTF8_BOM)
        yield from chunks
        return
    try:
        yield b"".join(chunks).decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"byte {error.start} is not {encoding}") from None


def _checked(chunks: Iterator[bytes], path: Path, encoding: str) -> Iterator[bytes]:
    """Raises UnreadableFile for a file that is of another kind, or has no LF."""
    first = next(chunks, b"")
    for begin, kind in KINDS.items():
        if first.startswith(begin):
            raise UnreadableFile(kind)
    has_cr, has_lf = b"\r" in first, b"\n" in first
    yield first
    for chunk in chunks:
        has_cr, has_lf = has_cr or b"\r" in chunk, has_lf or b"\n" in chunk
        yield chunk
    if has_cr and not has_lf:
        raise UnreadableFile("its lines end with CR alone; save it with LF or CR LF")
