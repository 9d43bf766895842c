"""Export events as NDJSON, or as a pytest fixture in Python."""

import datetime
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import msgspec

from eventstore import codec, log, registry, settings
from eventstore.log import pages, search
from eventstore.log.search import EventFilter
from eventstore.messages import Event
from eventstore.privacy import personal_data

# Of a line, before the data and the metadata.
FIELDS = (
    "position",
    "id",
    "stream",
    "version",
    "type",
    "schema_version",
    "recorded_at",
    "correlation_id",
    "causation_id",
)

# Events in memory at once; fewer if they are large.
PAGE = 500

# A fixture with more events is of no use for a test.
MAX_EVENTS = 1000

LINE_LENGTH = 110

FIXTURE = '''"""The events of a stream up to version {version}, for a test to start from.

    def test_what_comes_next({name}):
        {name}.when(...).then(...)
{hidden}"""

{imports}

STREAM = {stream!r}

EVENTS = {events}


@pytest.fixture
def {name}() -> Scenario:
    return given(registry.aggregate_of(STREAM), *EVENTS)
'''
HIDDEN = f"\nPersonal data is masked as {personal_data.HIDDEN}.\n"


class NotExportable(ValueError):
    """A stream cannot be exported as a fixture."""


def lines(filters: EventFilter, *, revealed: bool) -> Iterator[bytes]:
    """Events as lines of JSON, in the order of the log, up to the present high-water mark."""
    fence, last = log.fence(), 0
    found = search.events(filters).filter(position__lte=fence).order_by("position")
    more = True
    while more:
        page, more = pages.page(found.filter(position__gt=last), PAGE, settings.page_bytes())
        for event in page:
            data, metadata = event.data, event.metadata
            if not revealed:
                data = personal_data.of_message(event.type, data)
                metadata = personal_data.of_metadata(metadata)
            fields = {name: getattr(event, name) for name in FIELDS}
            yield codec.encode_json(fields | {"data": data, "metadata": metadata}) + b"\n"
            last = event.position


def fixture(stream: str, version: int, *, revealed: bool) -> str:
    """Python source of a fixture: the stream's aggregate with its events. Raises NotExportable."""
    if version > MAX_EVENTS:
        raise NotExportable(
            f"A fixture has at most {MAX_EVENTS} events, this one would have {version}. Choose an"
            " earlier version."
        )
    events = [each.body for each in log.read_stream(stream, to_version=version)]
    if not events:
        raise NotExportable(f"{stream} has no event.")
    if stream.partition("-")[0] not in registry.aggregates():
        raise NotExportable(f"{stream} has no aggregate in the wiring.")
    given = []
    for event in events:
        try:
            given.append(event if revealed else personal_data.without(event))
        except msgspec.ValidationError as error:
            raise NotExportable(
                f"{type(event).__name__} is not valid with masked personal data. Reveal it instead."
            ) from error
    return FIXTURE.format(
        version=len(given),
        name=name(stream),
        hidden="" if revealed else HIDDEN,
        imports="\n".join(_imports(given)),
        stream=stream,
        events=_source(tuple(given)),
    )


def name(stream: str) -> str:
    """The name of a stream's fixture. It uses the end of the id, which differs even for ids of one
    moment."""
    category, _, identity = stream.partition("-")
    return f"{category}_{re.sub(r'[^a-z0-9]+', '_', identity.lower())[-12:].strip('_')}"


def _imports(given: Sequence[Event]) -> Iterator[str]:
    used = set(_classes(given))
    if any(each.__module__ == "datetime" for each in used):
        yield "import datetime"
        yield ""
    yield "import pytest"
    yield ""
    named: dict[str, set[str]] = {
        "eventstore": {"registry"},
        "eventstore.testing": {"Scenario", "given"},
    }
    for each in used:
        if each.__module__ not in ("builtins", "datetime"):
            named.setdefault(each.__module__, set()).add(each.__name__)
    names = [each for module in named.values() for each in module]
    if len(names) != len(set(names)):
        raise NotExportable(
            "Two classes of its events have the same name, so one file cannot import both."
        )
    yield from (
        f"from {module} import {', '.join(sorted(named[module]))}" for module in sorted(named)
    )


def _classes(value: Any) -> Iterator[type]:
    yield type(value)
    for _, part in _parts(value):
        yield from _classes(part)


def _source(value: Any, depth: int = 0) -> str:
    """Python source of a value: on one line if it fits, else one line for each part."""
    match value:
        case msgspec.Struct():
            opening, closing = f"{type(value).__name__}(", ")"
        case tuple():
            opening, closing = "(", ")"
        case list():
            opening, closing = "[", "]"
        case dict():
            opening, closing = "{", "}"
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case _:
            return repr(value)
    parts = [f"{label}{_source(part, depth + 1)}" for label, part in _parts(value)]
    comma = "," if isinstance(value, tuple) and len(parts) == 1 else ""
    flat = f"{opening}{', '.join(parts)}{comma}{closing}"
    if len(flat) + 4 * depth <= LINE_LENGTH and "\n" not in flat:
        return flat
    inner = "".join(f"{'    ' * (depth + 1)}{part},\n" for part in parts)
    return f"{opening}\n{inner}{'    ' * depth}{closing}"


def _parts(value: Any) -> list[tuple[str, Any]]:
    """The parts of a value, each with the label that is written before it."""
    match value:
        case msgspec.Struct():
            return [(f"{name}=", getattr(value, name)) for name in value.__struct_fields__]
        case tuple() | list():
            return [("", each) for each in value]
        case dict():
            return [(f"{key!r}: ", each) for key, each in value.items()]
        case datetime.datetime():
            return [("", value.tzinfo)] if value.tzinfo is not None else []
    return []
