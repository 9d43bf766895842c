"""The functions that our migrations make, with the text of today: read from the migrations themselves."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple

from django.db.migrations import RunSQL

from .. import migrations
from ..postgres import rows

MADE_OR_DROPPED = re.compile(
    r"""
    CREATE \s+ (?:OR \s+ REPLACE \s+)? FUNCTION \s+ (?P<made>\w+) \s* \( (?P<arguments>.*?) \)
        \s* (?=RETURNS | LANGUAGE | SECURITY | SET | VOLATILE | STABLE | IMMUTABLE | STRICT | PARALLEL) .*?
        AS \s+ \$(?P<quote>\w*)\$ (?P<text>.*?) \$(?P=quote)\$
    | DROP \s+ FUNCTION \s+ (?:IF \s+ EXISTS \s+)? (?P<dropped>\w+) \s* (?: \( (?P<types>.*?) \) )?
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# Ours by their name, as whoever calls them would find them.
FOUND = """
    SELECT proname, coalesce((
        SELECT array_agg(format_type(type, NULL) ORDER BY place)
        FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS given(type, place)
    ), '{}'), prosrc
    FROM pg_proc
    WHERE proname = ANY(%s) AND pg_function_is_visible(oid)
"""


class Signature(NamedTuple):
    name: str
    types: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.types)})"


def wrong() -> Iterator[tuple[str, str]]:
    """Each function that is gone or has another text than today's: its signature, and which of the two."""
    made = of_today()
    there = {Signature(name, tuple(types)): text for name, types, text in rows(FOUND, [[each.name for each in made]])}
    for function, text in made.items():
        if there.get(function) != text:
            yield str(function), "has another text than its migration" if function in there else "is missing"


@cache
def of_today() -> dict[Signature, str]:
    """signature -> text, after all migrations that this code knows."""
    made: dict[Signature, str] = {}
    for statement in _statements():
        for found in MADE_OR_DROPPED.finditer(statement):
            if found["made"]:
                made[Signature(found["made"], _types_of(found["arguments"]))] = found["text"]
            else:
                _drop(made, found["dropped"], found["types"])
    return made


def _drop(made: dict[Signature, str], name: str, types: str | None) -> None:
    for each in [each for each in made if each.name == name]:
        if types is None or each.types == tuple(part.strip() for part in types.split(",") if part.strip()):
            del made[each]


def _types_of(arguments: str) -> tuple[str, ...]:
    """Of those that a caller gives: without the names, and what only comes out."""
    given = (part.split("DEFAULT")[0].split() for part in arguments.split(",") if part.strip())
    return tuple(" ".join(_type(words)) for words in given if words[0] != "OUT")


def _type(words: list[str]) -> list[str]:
    words = words[1:] if words[0] in ("IN", "INOUT", "VARIADIC") else words
    return words[1:] if len(words) > 1 else words


def _statements() -> Iterator[str]:
    for name in in_order():
        for operation in _module(name).Migration.operations:
            if isinstance(operation, RunSQL):
                parts = [operation.sql] if isinstance(operation.sql, str) else operation.sql
                yield from (part if isinstance(part, str) else part[0] for part in parts)


@cache
def in_order() -> tuple[str, ...]:
    """The names of our migrations, each behind those that it depends on."""
    names = sorted(each.name for each in iter_modules(migrations.__path__) if each.name[0].isdigit())
    ordered: list[str] = []

    def put(name: str) -> None:
        if name not in ordered:
            for app, before in _module(name).Migration.dependencies:
                if app == "eventstore":
                    put(before)
            ordered.append(name)

    for each in names:
        put(each)
    return tuple(ordered)


def _module(name: str) -> Any:
    return import_module(f"{migrations.__name__}.{name}")
