"""Guarantees: settings and database objects that the event store relies on and cannot enforce.

They are checked when a process starts, by `manage.py check` and by `manage.py doctor`. A process
refuses to serve while one of them is broken.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.signals import connection_created
from django.utils.module_loading import import_string

from eventstore import postgres, settings
from eventstore.log import epochs

from . import server, tables
from .guarantee import SERVER, SETTINGS, TABLES, Breach, Guarantee

__all__ = [
    "Breach",
    "Broken",
    "Guarantee",
    "SERVER",
    "SETTINGS",
    "TABLES",
    "breaches",
    "check_database",
    "check_settings",
    "demand",
    "demand_or_exit",
    "table",
]

logger = logging.getLogger(__name__)


class Broken(ImproperlyConfigured):
    """A guarantee is broken; a sentence for each."""


def table() -> tuple[Guarantee, ...]:
    """The event store's guarantees, and those of the project (EVENTSTORE_GUARANTEES)."""
    added = settings.guarantees()
    return (*(import_string(added) if added else ()), *server.GUARANTEES, *tables.GUARANTEES)


def breaches(*needs: str) -> Iterator[Breach]:
    """The broken guarantees with these needs. Tables are checked only if they are at the migration
    that this code knows."""
    checked = set(needs)
    if TABLES in checked and not tables.are_of_today():
        checked.remove(TABLES)
    for each in table():
        if each.needs in checked and not each.waived():
            yield from each.breaches()


def demand() -> None:
    """Call it when a process starts to serve: checks the settings now, and the database on the
    first connection. If the database is unreachable, that is later.

    Raises Broken. Costs a few queries per process.
    """
    _refuse(breaches(SETTINGS))
    connection_created.connect(_check_database)
    try:
        postgres.connect()
    except OperationalError as error:
        logger.warning(
            "database unreachable; guarantees will be checked on the first connection: %s", error
        )
    finally:
        postgres.close()  # a process that forks now must not share it


def demand_or_exit(code: int = 1) -> None:
    """As demand, for a program: prints the error without a traceback and exits. code: its exit
    code."""
    try:
        demand()
    except Broken as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(code)


def _check_database(connection: Any = None, **_: Any) -> None:
    if connection is not None and connection.alias != DEFAULT_DB_ALIAS:
        return
    # Checked once. A reconnect during the check must not start another one; after a failure, the
    # next connection checks again.
    connection_created.disconnect(_check_database)
    try:
        _refuse(breaches(SERVER, TABLES))
        epochs.demand()
    except Exception as error:
        connection_created.connect(_check_database)
        postgres.close()
        if isinstance(error, epochs.LogRestored):
            raise Broken(str(error)) from None
        raise


def _refuse(found: Iterable[Breach]) -> None:
    sentences = []
    for each in found:
        if each.stops:
            waiver = f" To run anyway, set {each.waiver}=1." if each.waiver else ""
            sentences.append(f"{each.what} {each.mend}{waiver}")
    if sentences:
        raise Broken("\n".join(sentences))


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    try:
        return list(_messages(breaches(SETTINGS)))
    except ImportError:
        return []  # of EVENTSTORE_GUARANTEES; the check of the wiring names it


@register(Tags.database)
def check_database(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    if not databases or DEFAULT_DB_ALIAS not in databases:
        return []
    if connections[DEFAULT_DB_ALIAS].vendor != "postgresql":
        return []  # which is an error of its own
    return list(_messages(breaches(SERVER, TABLES)))


def _messages(found: Iterable[Breach]) -> Iterator[CheckMessage]:
    for each in found:
        yield (Error if each.stops else Warning)(each.what, hint=each.mend, id=each.id)
