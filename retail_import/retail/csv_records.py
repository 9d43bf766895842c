"""The records of a CSV file, plain or gzipped, each with the number of the line it starts on."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from .malformed import BadValue, MalformedLine


def records(path: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    rows = _numbered_rows(path)
    _refuse_other_header(rows, header)
    columns, number = len(header), 1
    for number, row in rows:
        if len(row) != columns:
            raise MalformedLine(number, f"{len(row)} columns where {columns} belong")
        yield number, row
    if number == 1:
        raise MalformedLine(2, "nothing follows the header")


def fingerprint(path: Path) -> str:
    """Of the text, however it is packed."""
    with _opened(path) as binary:
        return hashlib.file_digest(binary, "sha256").hexdigest()


def _refuse_other_header(rows: Iterator[tuple[int, list[str]]], header: Sequence[str]) -> None:
    for _, first in rows:
        if first != list(header):
            raise MalformedLine(
                1, f"the header is {','.join(first)[:100]!r}, not {','.join(header)!r}"
            )
        return
    raise MalformedLine(1, "the file is empty")


def _numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    number = 1
    with _opened(path) as binary:
        reader = csv.reader(map(_decoded, binary), strict=True)
        try:
            for row in reader:
                yield number, row
                number = reader.line_num + 1
        except _DAMAGE as error:
            raise MalformedLine(number, _reason(error)) from None


def _opened(path: Path) -> io.BufferedReader:
    if path.suffix.lower() == ".gz":
        # GzipFile reads lines in Python; a buffer above it reads them in C, which halves the time.
        return io.BufferedReader(gzip.open(path), 1 << 16)
    return path.open("rb")


def _decoded(line: bytes) -> str:
    """Line by line, not by TextIOWrapper, whose blocks would blame a line far from the bad byte."""
    if b"\0" in line:
        raise BadValue("a zero byte stands in the text")
    return line.decode()


def _reason(error: Exception) -> str:
    match error:
        case UnicodeDecodeError():
            return "the text is not UTF-8"
        case EOFError():
            return "the compressed file breaks off"
        case gzip.BadGzipFile() | zlib.error():
            return "the file is not gzip, or is damaged"
        case _:
            return str(error)


_DAMAGE = (UnicodeDecodeError, csv.Error, EOFError, gzip.BadGzipFile, zlib.error, BadValue)
