"""Compare the functions in eventstore/sql/functions with those in the database."""

import re
from collections.abc import Iterator
from functools import cache
from pkgutil import iter_modules
from typing import NamedTuple

from eventstore import migrations, sql
from eventstore.postgres import rows

DEFINITION = re.compile(
    r"""
    ^CREATE \s OR \s REPLACE \s FUNCTION \s (?P<name>\w+) \( (?P<arguments>.*?) \) \s+
        (?P<options>(?:RETURNS | LANGUAGE) \b .*?) AS \s \$\$ (?P<text>.*) \$\$;
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
# By name, as a caller would find them on the search path.
FIND = """
    SELECT proname, coalesce((
        SELECT array_agg(format_type(type, NULL) ORDER BY place)
        FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS arguments(type, place)
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
    """as_owner: whether it is SECURITY DEFINER, and so runs with the privileges of its owner."""

    text: str
    as_owner: bool


def wrong() -> Iterator[tuple[str, str]]:
    """Each function that is missing or differs from its file: its signature and the difference."""
    expected = of_today()
    found = {
        Signature(name, tuple(types)): Function(text, as_owner)
        for name, types, text, as_owner in rows(FIND, [[each.name for each in expected]])
    }
    for signature, function in expected.items():
        if signature not in found:
            yield str(signature), "is missing"
        elif found[signature].text != function.text:
            yield str(signature), "differs from its file"
        elif found[signature] != function:
            change = "no longer" if function.as_owner else "now"
            yield str(signature), f"is {change} SECURITY DEFINER"


@cache
def of_today() -> dict[Signature, Function]:
    found = {}
    for name in sql.names():
        definition = DEFINITION.search(sql.function(name))
        if definition is None or definition["name"] != name:
            raise ValueError(f"eventstore/sql/functions/{name}.sql does not define {name}.")
        as_owner = "SECURITY DEFINER" in definition["options"]
        signature = Signature(name, _types_of(definition["arguments"]))
        found[signature] = Function(definition["text"], as_owner)
    return found


@cache
def migrations_of_today() -> frozenset[str]:
    return frozenset(
        each.name for each in iter_modules(migrations.__path__) if each.name[0].isdigit()
    )


def _types_of(arguments: str) -> tuple[str, ...]:
    """The types of the input arguments, without their modes and names."""
    types = []
    for part in arguments.split(","):
        words = part.split("DEFAULT")[0].split()
        if words and words[0] != "OUT":
            words = words[1:] if words[0] in ("IN", "INOUT", "VARIADIC") else words
            types.append(" ".join(words[1:] if len(words) > 1 else words))
    return tuple(types)
