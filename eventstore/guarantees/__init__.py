"""What the promises rest on and no code of ours can keep: looked at when a process starts, by the
check, by the doctor.

A process that is to serve refuses to where one of them is broken: no promise of ours would hold on
it.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, OperationalError
from django.db.backends.signals import connection_created
from django.utils.module_loading import import_string

from eventstore import postgres, settings
from eventstore.log import epochs

from . import server, tables
from .guarantee import SERVER as SERVER
from .guarantee import SETTINGS as SETTINGS
from .guarantee import TABLES as TABLES
from .guarantee import Breach as Breach
from .guarantee import Guarantee as Guarantee

logger = logging.getLogger(__name__)


class Broken(ImproperlyConfigured):
    """Something that the promises rest on is not so; a sentence for each."""


def table() -> tuple[Guarantee, ...]:
    """Ours, and what the project adds (EVENTSTORE_GUARANTEES)."""
    added = settings.guarantees()
    return (*(import_string(added) if added else ()), *server.GUARANTEES, *tables.GUARANTEES)


def breaches(*needs: str) -> Iterator[Breach]:
    """What is broken, of the guarantees with these needs; of the tables only where this code knows
    them as they are."""
    looked_at = set(needs)
    if TABLES in looked_at and not tables.are_of_today():
        looked_at.remove(TABLES)
    for each in table():
        if each.needs in looked_at and not each.waived():
            yield from each.breaches()


def demand() -> None:
    """For a process that is to serve: settings are looked at now, the database with its first
    connection, now or when it is back.

    Raises Broken. Costs a handful of queries in the life of a process.
    """
    _refuse(breaches(SETTINGS))
    connection_created.connect(_ask)
    try:
        postgres.connect()
    except OperationalError as error:
        logger.warning(
            "the database is away, its settings are looked at when it is back: %s", error
        )
    finally:
        postgres.close()  # who forks now must not take it along


def demand_or_exit(code: int = 1) -> None:
    """As demand, for a program: it ends by a sentence, and no traceback. code: its exit code."""
    try:
        demand()
    except Broken as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(code)


def _ask(connection: Any = None, **_: Any) -> None:
    if connection is not None and connection.alias != DEFAULT_DB_ALIAS:
        return
    # While it is asked nobody asks; after a yes nobody any more.
    connection_created.disconnect(_ask)
    try:
        _refuse(breaches(SERVER, TABLES))
        epochs.demand()
    except epochs.LogRestored as restored:
        connection_created.connect(_ask)
        postgres.close()
        raise Broken(str(restored)) from None
    except Exception:
        connection_created.connect(_ask)
        postgres.close()
        raise


def _refuse(found: Iterable[Breach]) -> None:
    sentences = [f"{each.what} {each.mend}{_waiver(each)}" for each in found if each.stops]
    if sentences:
        raise Broken("\n".join(sentences))


def _waiver(each: Breach) -> str:
    return f" To run all the same, set {each.waiver}=1." if each.waiver else ""


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return list(_messages(breaches(SETTINGS)))


@register(Tags.database)
def check_database(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    return (
        list(_messages(breaches(SERVER, TABLES)))
        if databases and DEFAULT_DB_ALIAS in databases
        else []
    )


def _messages(found: Iterable[Breach]) -> Iterator[CheckMessage]:
    for each in found:
        yield (Error if each.stops else Warning)(each.what, hint=each.mend, id=each.id)
