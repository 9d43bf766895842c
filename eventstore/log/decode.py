"""Decode rows of the log into messages."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from eventstore import codec, registry
from eventstore.messages import Message, Metadata

Page = Sequence[tuple[Any, ...]]

# In the order in which `recorded` takes them.
COLUMNS = """
    position, id, stream, version, type, schema_version, data,
    correlation_id, causation_id, metadata, recorded_at
"""
NO_FIELDS = "{}"


def recorded(page: Page) -> Iterable[Message]:
    """The messages of rows with COLUMNS. Decodes all of them at once, which is fastest.

    If one cannot be decoded, decodes one by one, so that the caller gets the messages before it and
    then its error.
    """
    try:
        return _decode(page, registry.maker)
    except (registry.UnknownType, codec.Undecodable, codec.Unfit):
        return one_by_one(page)


def one_by_one(page: Page) -> Iterator[Message]:
    """As recorded, but decodes each message when it is asked for."""
    return chain.from_iterable(_decode([row], registry.reader) for row in page)


def _decode(rows: Page, decoder: Callable[[str, int], Callable[[str], Any]]) -> list[Message]:
    return [
        Message(
            place,
            id_,
            stream,
            version,
            type_,
            decoder(type_, schema)(data),
            (
                Metadata(correlation, cause)
                if fields == NO_FIELDS
                else codec.metadata(correlation, cause, fields)
            ),
            at,
        )
        for place, id_, stream, version, type_, schema, data, correlation, cause, fields, at in rows
    ]
