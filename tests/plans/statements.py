"""What there is to be planned: each constant of each module that is SQL, and each function of ours
in the database."""

import pkgutil
import re
from collections.abc import Iterable, Iterator
from importlib import import_module

from eventstore.postgres import rows

PACKAGES = (
    "eventstore",
    "orders",
    "payments",
    "inventory",
    "shipping",
    "retail_import",
    "access",
    "config",
)
APART = (".migrations", ".sql", ".local", ".wsgi", ".celery", ".gunicorn", ".web")
BEGINS = re.compile(r"\s*(SELECT|WITH|INSERT INTO|UPDATE|DELETE FROM|DECLARE)\b")
FUNCTIONS = """
    SELECT proname, prosrc FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'eventstore%%'
      AND prorettype <> 'trigger'::regtype
"""


def constants() -> dict[str, str]:
    """module.NAME -> statement, of all modules; of a table of statements each by its key."""
    return dict(_constants())


def _constants() -> Iterator[tuple[str, str]]:
    for name in _modules():
        module = import_module(name)
        for constant, value in vars(module).items():
            if constant.isupper() and getattr(module, "__name__", "") == name:
                yield from _statements(f"{name}.{constant}", value)


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not any(each in f"{found.name}." for each in (f"{apart}." for apart in APART)):
                yield found.name


def _statements(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and BEGINS.match(value):
        yield name, " ".join(value.split())
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _statements(f"{name}[{key}]", each)


def is_met(statement: str, met: Iterable[str]) -> bool:
    """met: statements as they were sent. A name in braces stands for whatever was put there."""
    parts = re.split(r"\{\{?\w+\}?\}", statement)
    pattern = re.compile(".+?".join(re.escape(part) for part in parts))
    return any(pattern.search(each) for each in met)


def functions() -> dict[str, str]:
    """Name -> body."""
    return dict(rows(FUNCTIONS))


def called(name: str, texts: Iterable[str]) -> bool:
    return any(re.search(rf"\b{name}\b", each) for each in texts)
