"""Events out of the log: as lines of JSON, and as the Python that a test begins with."""

import datetime as times
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import msgspec

from eventstore import codec, log, registry, settings
from eventstore.log import pages, search
from eventstore.log.search import EventFilter
from eventstore.messages import Event as Happened
from eventstore.models import Event
from eventstore.privacy import personal_data

# Held in memory at once, however many are exported, and fewer where they are large.
PAGE = 500

# More is no beginning of a test.
MOST_GIVEN = 1000

LINE = 110

FIXTURE = '''"""What happened to a stream up to version {version}, for a test to begin with.

    def test_what_should_come_of_it({name}):
        {name}.when(...).then(...)
{hidden}"""

{imports}

STREAM = {stream!r}

EVENTS = {events}


@pytest.fixture
def {name}() -> Scenario:
    return given(registry.aggregate_of(STREAM), *EVENTS)
'''
HIDDEN = f"\nWhat is about a person is hidden as {personal_data.HIDDEN}.\n"


class NotExportable(ValueError):
    """A stream that makes no beginning of a test; the sentence says why."""


def lines(wanted: EventFilter, *, revealed: bool) -> Iterator[bytes]:
    """One event after another in the order of the log, up to where it is complete now."""
    fence, last = log.fence(), 0
    found = search.events(wanted).filter(position__lte=fence).order_by("position")
    more = True
    while more:
        page, more = pages.page(found.filter(position__gt=last), PAGE, settings.page_bytes())
        for event in page:
            yield codec.encode_json(_told(event, revealed)) + b"\n"
            last = event.position


def fixture(stream: str, version: int, *, revealed: bool) -> str:
    """A Python file with a fixture: the stream's aggregate, given its events. Raises
    NotExportable."""
    if version > MOST_GIVEN:
        raise NotExportable(
            f"{version} events are no beginning of a test; {MOST_GIVEN} are the most. Take an"
            " earlier one."
        )
    happened = [each.body for each in log.read_stream(stream, to_version=version)]
    if not happened:
        raise NotExportable(f"{stream} has no event.")
    if stream.partition("-")[0] not in registry.aggregates():
        raise NotExportable(f"No aggregate of today folds {stream}.")
    given = tuple(happened if revealed else map(_without, happened))
    return FIXTURE.format(
        version=len(given),
        name=name(stream),
        hidden="" if revealed else HIDDEN,
        imports="\n".join(_imports(given)),
        stream=stream,
        events=_source(given),
    )


def name(stream: str) -> str:
    """Of its fixture. The end of an id tells those of one moment apart."""
    category, _, identity = stream.partition("-")
    return f"{category}_{re.sub(r'[^a-z0-9]+', '_', identity.lower())[-12:].strip('_')}"


def _without(happened: Happened) -> Any:
    try:
        return personal_data.without(happened)
    except msgspec.ValidationError as error:
        raise NotExportable(
            f"{type(happened).__name__} is none without its personal texts: reveal it."
        ) from error


def _told(event: Event, revealed: bool) -> dict[str, Any]:
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


def _imports(given: Sequence[Happened]) -> Iterator[str]:
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
        raise NotExportable("Two of its classes have the same name, and so no place in one file.")
    yield from (
        f"from {module} import {', '.join(sorted(named[module]))}" for module in sorted(named)
    )


def _classes(value: Any) -> Iterator[type]:
    yield type(value)
    for _, part in _parts(value):
        yield from _classes(part)


def _source(value: Any, depth: int = 0) -> str:
    """As one would write it: in a line where it fits, else each part in a line of its own."""
    brackets = _brackets(value)
    if brackets is None:
        return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)
    parts = [f"{label}{_source(part, depth + 1)}" for label, part in _parts(value)]
    comma = "," if isinstance(value, tuple) and len(parts) == 1 else ""
    flat = f"{brackets[0]}{', '.join(parts)}{comma}{brackets[1]}"
    if len(flat) + 4 * depth <= LINE and "\n" not in flat:
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
    """What it is made of, each with what is written before it."""
    match value:
        case msgspec.Struct():
            return [(f"{name}=", getattr(value, name)) for name in value.__struct_fields__]
        case tuple() | list():
            return [("", each) for each in value]
        case dict():
            return [(f"{key!r}: ", each) for key, each in value.items()]
        case times.datetime():
            return [("", value.tzinfo)] if value.tzinfo is not None else []
    return []
