"""Each fault brought about for real, in a database of its own, to see that it is found and nothing
else is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

from django.core.management import call_command
from django.db import transaction

from eventstore import postgres
from eventstore.outbox import cursors

from . import examine, faults
from .faults import Fault
from .findings import Finding, Limits

CREATE = "CREATE DATABASE {name}"
DROP = "DROP DATABASE IF EXISTS {name} WITH (FORCE)"


class Trial(NamedTuple):
    """fault: which check was to find one; "" for none."""

    fault: str
    was_found: bool
    false_alarms: list[Finding]


def run() -> Iterator[Trial]:
    """The healthy first, then each fault, taken away again after it was looked for."""
    with _database():
        cursors.ensure_cursors()
        yield _trial("", faults.nothing, faults.LIMITS)
        for name, (bring_about, limits) in faults.possible().items():
            yield _trial(name, bring_about, limits)


def _trial(name: str, bring_about: Fault, limits: Limits) -> Trial:
    faults.be_at_work()
    with bring_about():
        found = examine(limits)
    faults.be_at_work()
    check, _, _ = name.partition("/")
    alarms = [each for each in found if each.check != check] + examine(
        faults.LIMITS
    )  # for then it is gone again
    return Trial(name, any(each.check == check for each in found), alarms)


@contextmanager
def _database() -> Iterator[None]:
    database = transaction.get_connection()
    name, ours = f"doctor_{uuid4().hex[:12]}", database.settings_dict["NAME"]
    with postgres.beside() as beside:
        beside.execute(CREATE.format(name=name))
        database.close()
        database.settings_dict["NAME"] = name
        try:
            call_command("migrate", verbosity=0)
            yield
        finally:
            database.close()
            database.settings_dict["NAME"] = ours
            beside.execute(DROP.format(name=name))
