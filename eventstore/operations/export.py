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
from eventstore.models import Event as EventRow
from eventstore.privacy import personal_data

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
            yield codec.encode_json(_as_json(event, revealed)) + b"\n"
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
    given = tuple(events if revealed else map(_masked, events))
    return FIXTURE.format(
        version=len(given),
        name=name(stream),
        hidden="" if revealed else HIDDEN,
        imports="\n".join(_imports(given)),
        stream=stream,
        events=_source(given),
    )


def name(stream: str) -> str:
    """The name of a stream's fixture. It uses the end of the id, which differs even for ids of one
    moment."""
    category, _, identity = stream.partition("-")
    return f"{category}_{re.sub(r'[^a-z0-9]+', '_', identity.lower())[-12:].strip('_')}"


def _masked(event: Event) -> Any:
    try:
        return personal_data.without(event)
    except msgspec.ValidationError as error:
        raise NotExportable(
            f"{type(event).__name__} is not valid with masked personal data. Reveal it instead."
        ) from error


def _as_json(event: EventRow, revealed: bool) -> dict[str, Any]:
    return {
        "position": event.position,
        "id": event.id,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "schema_version": event.schema_version,
        "recorded_at": event.recorded_at,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "data": event.data if revealed else personal_data.of_message(event.type, event.data),
        "metadata": event.metadata if revealed else personal_data.of_metadata(event.metadata),
    }


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
    brackets = _brackets(value)
    if brackets is None:
        return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)
    parts = [f"{label}{_source(part, depth + 1)}" for label, part in _parts(value)]
    comma = "," if isinstance(value, tuple) and len(parts) == 1 else ""
    flat = f"{brackets[0]}{', '.join(parts)}{comma}{brackets[1]}"
    if len(flat) + 4 * depth <= LINE_LENGTH and "\n" not in flat:
        return flat
    inner = "".join(f"{'    ' * (depth + 1)}{part},\n" for part in parts)
    return f"{brackets[0]}\n{inner}{'    ' * depth}{brackets[1]}"


def _brackets(value: Any) -> tuple[str, str] | None:
    match value:
        case msgspec.Struct():
            return f"{type(value).__name__}(", ")"
        case tuple():
            return "(", ")"
        case list():
            return "[", "]"
        case dict():
            return "{", "}"
    return None


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
