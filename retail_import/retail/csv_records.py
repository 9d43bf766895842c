"""Read the records of a CSV file, plain or gzipped, with the number of the line each starts on."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from .malformed import BadValue, MalformedLine


def records(path: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each record. Raises MalformedLine."""
    rows = _numbered_rows(path)
    _, first = next(rows, (1, None))
    if first is None:
        raise MalformedLine(1, "the file is empty")
    if first != list(header):
        raise MalformedLine(1, f"the header is {','.join(first)[:100]!r}, not {','.join(header)!r}")
    columns, number = len(header), 1
    for number, row in rows:
        if len(row) != columns:
            raise MalformedLine(number, f"expected {columns} columns, got {len(row)}")
        yield number, row
    if number == 1:
        raise MalformedLine(2, "the file has no line after the header")


def fingerprint(path: Path) -> str:
    """SHA-256 of the text; the same for the plain and the gzipped file."""
    with _open(path) as binary:
        return hashlib.file_digest(binary, "sha256").hexdigest()


def _numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    number = 1
    with _open(path) as binary:
        reader = csv.reader(map(_decode, binary), strict=True)
        try:
            for row in reader:
                yield number, row
                number = reader.line_num + 1
        except UnicodeDecodeError:
            raise MalformedLine(number, "the text is not UTF-8") from None
        except EOFError:
            raise MalformedLine(number, "the compressed file is truncated") from None
        except (gzip.BadGzipFile, zlib.error):
            raise MalformedLine(number, "the file is not gzip, or is damaged") from None
        except (csv.Error, BadValue) as error:
            raise MalformedLine(number, str(error)) from None


def _open(path: Path) -> io.BufferedReader:
    if path.suffix.lower() == ".gz":
        # GzipFile reads lines in Python; a buffer above it reads them in C, which halves the time.
        return io.BufferedReader(gzip.open(path), 1 << 16)
    return path.open("rb")


def _decode(line: bytes) -> str:
    """By line and not by TextIOWrapper, which decodes blocks: its error would name a wrong line."""
    if b"\0" in line:
        raise BadValue("the text has a zero byte")
    return line.decode()
