"""Many commands of one kind in one request: one on each line of NDJSON or CSV, all or none.

Every fault of every line is reported at once. The pointer of a fault begins with the number of its
line, counted from 1 with the header of a CSV.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, ClassVar, NamedTuple

from rest_framework import serializers as drf
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from eventstore import log
from eventstore.commands import bus, idempotency, repository
from eventstore.commands.idempotency import StoredResponse
from eventstore.log import Appended
from eventstore.messages import Command, replace

from . import errors, reading, requests
from .commands import CommandView, json_response
from .errors import Fault, Malformed
from .serializers import OpenChoice, StrictSerializer

MOST_LINES = 10_000


class Lines(NamedTuple):
    """objects: number and value of each line that can be parsed. faults: of the others."""

    objects: list[tuple[int, Any]]
    faults: list[Fault]


def ndjson(text: str) -> Lines:
    """One JSON object on each line. Blank lines are passed over."""
    found = Lines([], [])
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.objects.append((number, requests.parse(line.encode())))
        except Malformed as error:
            found.faults.extend(_on(number, each) for each in error.faults)
    return found


def table(text: str) -> Lines:
    """CSV with a header; each line becomes an object of texts. Empty fields are left out."""
    found, reader = Lines([], []), csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return found
        except csv.Error as error:
            found.faults.append(Fault(f"#/{number}", f"Invalid CSV: {error}.", "not_csv"))
            continue
        if not header:
            header = row
        elif row and len(row) != len(header):
            detail = f"Expected {len(header)} columns, got {len(row)}."
            found.faults.append(Fault(f"#/{number}", detail, "columns"))
        elif row:
            fields = dict(zip(header, row, strict=True))
            found.objects.append((number, {name: text for name, text in fields.items() if text}))


def read(
    lines: Lines,
    shape: type[StrictSerializer],
    from_texts: Callable[[Mapping[str, str]], Any] | None = None,
    unique: str = "",
) -> list[dict[str, Any]]:
    """The values of all lines. from_texts: makes an object of JSON's types of a line of CSV.
    unique: a member that may not be the same on two lines. Raises Malformed with all faults."""
    values, faults, seen = list[dict[str, Any]](), list(lines.faults), dict[Any, int]()
    for number, each in lines.objects:
        try:
            value = reading.read(shape, from_texts(each) if from_texts else each)
        except ValidationError as error:
            faults.extend(_on(number, each) for each in errors.faults(error))
            continue
        values.append(value)
        if unique and (first := seen.setdefault(value[unique], number)) != number:
            detail = f"{value[unique]} is on line {first} already."
            faults.append(Fault(f"#/{number}/{unique}", detail, "duplicate"))
    if faults:
        raise Malformed(*sorted(faults, key=_line_of))
    if not values or len(values) > MOST_LINES:
        detail = f"Expected 1 to {MOST_LINES} lines, got {len(values)}."
        raise Malformed(Fault("#", detail, "lines"))
    return values


class _LinesParser(BaseParser):
    @staticmethod
    def lines(text: str) -> Lines:
        raise NotImplementedError

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """As JSON's types: the fingerprint of an idempotency key is made of them."""
        found = type(self).lines(requests.decode(requests.read_body(stream, parser_context)))
        return {"objects": found.objects, "faults": found.faults}


class NdjsonParser(_LinesParser):
    media_type = "application/x-ndjson"
    lines = staticmethod(ndjson)


class CsvParser(_LinesParser):
    media_type = "text/csv"
    lines = staticmethod(table)


class BulkAnswer(drf.Serializer):
    """accepted: the number of lines."""

    accepted = drf.IntegerField()
    position = drf.IntegerField()
    status = OpenChoice(["PROCESSING"])


class BulkView(CommandView):
    """serializer_class: of one line. answer: the response. from_texts, unique: as in read.
    query_url: of the list. example: of a table."""

    parser_classes = [NdjsonParser, CsvParser]
    unique: ClassVar[str] = ""
    example: ClassVar[str]
    answer = BulkAnswer

    @staticmethod
    def from_texts(row: Mapping[str, str]) -> Any:
        return row

    def _execute(self, request: Request, named: Mapping[str, str]) -> StoredResponse:
        requests.require_length(request)
        self.preferences = requests.preferences(request)
        _, _, values = errors.all_of(
            lambda: self._read_key(request),
            lambda: _refuse_precondition(request),
            lambda: self._read_lines(request),
        )
        metadata = replace(log.current_metadata(), actor=request.user.get_username())
        commands = [bus.Request(self.command(**each), metadata) for each in values]

        def write(events: Sequence[Any], *rest: Any) -> Appended:
            assert self.key is not None
            position = None if events else _position([each.command for each in commands])
            response = self._bulk_accepted(len(commands), position)
            return idempotency.write(self.key, response, events, *rest)

        appended = bus.dispatch_requests(commands, write=write if self.key else log.write)
        position = appended.position or _position([each.command for each in commands])
        return self._bulk_accepted(len(commands), position)

    def _read_lines(self, request: Request) -> list[dict[str, Any]]:
        data: Any = request.data
        # Without a body nothing was parsed.
        faults = [Fault(*each) for each in data.get("faults", ())]
        lines = Lines(data.get("objects", []), faults)
        is_csv = str(request.content_type).startswith(CsvParser.media_type)
        from_texts = type(self).from_texts if is_csv else None
        return read(lines, self.serializer_class, from_texts, self.unique)

    def _bulk_accepted(self, count: int, position: int | None) -> StoredResponse:
        body = {"accepted": count, "position": position, "status": "PROCESSING"}
        return json_response(202, body, {"Location": self.query_url})


def _refuse_precondition(request: Request) -> None:
    """A precondition that is not evaluated must not be passed over (RFC 9110, 13.1)."""
    if "If-Match" in request.headers:
        detail = "Lines of many objects have no single version."
        raise Malformed(Fault("If-Match", detail, "not_here", errors.HEADER))


def dispatch(commands: Iterable[Command]) -> int:
    """All or none. Returns the position of the last event, or of what a repeat depends on."""
    decided = list(commands)
    return bus.dispatch_all(decided).position or _position(decided)


def _position(commands: Sequence[Command]) -> int:
    """Of the last event of the commands' streams: they are all repeats."""
    streams = [bus.route(each, log.current_metadata()).streams[0] for each in commands]
    versions = {stream: each.version for stream, each in repository.load(streams).items()}
    return max(log.positions_at(versions).values(), default=0)


def _on(number: int, fault: Fault) -> Fault:
    return fault._replace(pointer=f"#/{number}{fault.pointer.removeprefix('#')}")


def _line_of(fault: Fault) -> int:
    return int(fault.pointer.split("/")[1])
