"""A server that may forget what it has acknowledged, or has, is refused: no promise of ours would hold on it."""

import logging
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.db.backends.signals import connection_created

from . import epochs, postgres, settings

logger = logging.getLogger(__name__)

SETTINGS = """
    SELECT name
    FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS name
    WHERE current_setting(name) = 'off'
"""


class UnsafeDatabase(ImproperlyConfigured):
    """PostgreSQL runs with settings under which a crash loses what it has acknowledged, or its log was restored, and
    what it lacks was not seen to."""


def demand() -> None:
    """For a process that is to serve: it is asked of its first connection, now or when the database is back.

    Raises UnsafeDatabase. Costs one query in the life of a process.
    """
    if settings.allow_unsafe_database():
        return
    connection_created.connect(_ask)
    try:
        postgres.connect()
    except OperationalError as error:
        logger.warning("the database is away, its settings are looked at when it is back: %s", error)
    finally:
        postgres.close()  # who forks now must not take it along


def _ask(**_: Any) -> None:
    # While it is asked nobody asks; after a yes nobody any more.
    connection_created.disconnect(_ask)
    if off := _switched_off():
        connection_created.connect(_ask)
        postgres.close()
        raise UnsafeDatabase(f"{_sentence(off)} To run all the same, set ALLOW_UNSAFE_DATABASE=1.")
    try:
        epochs.demand()
    except epochs.LogRestored as restored:
        connection_created.connect(_ask)
        postgres.close()
        raise UnsafeDatabase(str(restored)) from None


@register(Tags.database)
def check_durability(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    return list(_findings()) if databases and not settings.allow_unsafe_database() else []


def _findings() -> Iterator[CheckMessage]:
    if off := _switched_off():
        yield Error(_sentence(off), id="eventstore.E017")


def _switched_off() -> list[str]:
    return [name for (name,) in postgres.rows(SETTINGS)]


def _sentence(off: list[str]) -> str:
    return f"PostgreSQL runs with {' and '.join(off)} off: a crash would lose what it has acknowledged."
