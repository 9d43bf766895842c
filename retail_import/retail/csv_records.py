"""Read the records of a CSV file, with the number of the line each starts on."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from .malformed import BadValue, MalformedLine, Report, refuse


def records(
    path: Path, header: Sequence[str], report: Report = refuse
) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each record. report: is called for each malformed one. Raises
    MalformedLine for a file without the header or without a line after it.

    Blank lines are taken at the end alone: in the middle something may be missing.
    """
    rows = _numbered_rows(path, report)
    _, first = next(rows, (1, None))
    if first is None:
        raise MalformedLine(1, "the file is empty")
    if first != list(header):
        raise MalformedLine(1, f"the header is {','.join(first)[:100]!r}, not {','.join(header)!r}")
    columns, number = len(header), 1
    blank: list[int] = []
    for number, row in rows:
        if not row:
            blank.append(number)
            continue
        for each in blank:
            report(MalformedLine(each, f"expected {columns} columns, got 0"))
        blank.clear()
        if len(row) != columns:
            report(MalformedLine(number, f"expected {columns} columns, got {len(row)}", fields=row))
            continue
        yield number, row
    if number == 1 or number == len(blank) + 1:
        raise MalformedLine(2, "the file has no line after the header")


class _Lines:
    """The lines of a file. number: of the last one.

    Decodes by line and not by TextIOWrapper, which decodes blocks: its error would name a wrong
    line. Not a generator, which ends with its first error.
    """

    def __init__(self, binary: IO[bytes]) -> None:
        self._binary, self.number = binary, 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._binary)
        self.number += 1
        if b"\0" in line:
            raise BadValue("the text has a zero byte")
        return line.decode()


def _numbered_rows(path: Path, report: Report) -> Iterator[tuple[int, list[str]]]:
    with path.open("rb") as binary:
        lines = _Lines(binary)
        reader = csv.reader(lines, strict=True)
        while True:
            number = lines.number + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except UnicodeDecodeError:
                report(MalformedLine(number, "the text is not UTF-8; see --encoding"))
            except (csv.Error, BadValue) as error:
                report(MalformedLine(number, str(error)))
            else:
                yield number, row
