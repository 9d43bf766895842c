"""The functions of our files in eventstore/sql/functions, held against those that the database
has."""

import re
from collections.abc import Iterator
from functools import cache
from pkgutil import iter_modules
from typing import NamedTuple

from eventstore import migrations, sql
from eventstore.postgres import rows

MADE = re.compile(
    r"""
    ^CREATE \s OR \s REPLACE \s FUNCTION \s (?P<name>\w+) \( (?P<arguments>.*?) \) \s+
        (?P<how>(?:RETURNS | LANGUAGE) \b .*?) AS \s \$\$ (?P<text>.*) \$\$;
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
# Ours by their name, as whoever calls them would find them.
FOUND = """
    SELECT proname, coalesce((
        SELECT array_agg(format_type(type, NULL) ORDER BY place)
        FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS given(type, place)
    ), '{}'), prosrc, prosecdef
    FROM pg_proc
    WHERE proname = ANY(%s) AND pg_function_is_visible(oid)
"""


class Signature(NamedTuple):
    name: str
    types: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.types)})"


class Function(NamedTuple):
    """as_owner: whether it runs with the rights of whoever owns it."""

    text: str
    as_owner: bool


def wrong() -> Iterator[tuple[str, str]]:
    """Each function that is gone or is another than today's: its signature, and in what it
    differs."""
    made = of_today()
    found = rows(FOUND, [[each.name for each in made]])
    there = {
        Signature(name, tuple(types)): Function(text, as_owner)
        for name, types, text, as_owner in found
    }
    for signature, function in made.items():
        if signature not in there:
            yield str(signature), "is missing"
        elif there[signature].text != function.text:
            yield str(signature), "has another text than its file"
        elif there[signature] != function:
            yield (
                str(signature),
                f"is {'no longer' if function.as_owner else 'now'} SECURITY DEFINER",
            )


@cache
def of_today() -> dict[Signature, Function]:
    return dict(_read(name) for name in sql.names())


@cache
def migrations_of_today() -> frozenset[str]:
    return frozenset(
        each.name for each in iter_modules(migrations.__path__) if each.name[0].isdigit()
    )


def _read(name: str) -> tuple[Signature, Function]:
    found = MADE.search(sql.function(name))
    if found is None or found["name"] != name:
        raise ValueError(f"eventstore/sql/functions/{name}.sql does not make {name}.")
    return Signature(name, _types_of(found["arguments"])), Function(
        found["text"], "SECURITY DEFINER" in found["how"]
    )


def _types_of(arguments: str) -> tuple[str, ...]:
    """Of those that a caller gives: without the names, and what only comes out."""
    given = (part.split("DEFAULT")[0].split() for part in arguments.split(",") if part.strip())
    return tuple(" ".join(_type(words)) for words in given if words[0] != "OUT")


def _type(words: list[str]) -> list[str]:
    words = words[1:] if words[0] in ("IN", "INOUT", "VARIADIC") else words
    return words[1:] if len(words) > 1 else words
