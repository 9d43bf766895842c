"""Inject each fault in a database of its own, and let the doctor examine it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

from django.core.management import call_command
from django.db import transaction

from eventstore import postgres
from eventstore.operations.doctor import Finding, examine
from eventstore.outbox import cursors

from . import faults
from .faults import Fault

CREATE = "CREATE DATABASE {name}"
DROP = "DROP DATABASE IF EXISTS {name} WITH (FORCE)"


class Trial(NamedTuple):
    """fault: its name in FAULTS; "" for the healthy database. was_found: by the right check.
    false_alarms: findings of other checks, and findings after the repair."""

    fault: str
    was_found: bool
    false_alarms: list[Finding]


def run() -> Iterator[Trial]:
    """The healthy database first, then each fault, which is repaired after its examination."""
    with _database():
        cursors.ensure_cursors()
        yield _trial("", Fault(faults.nothing))
        for name, fault in faults.possible().items():
            yield _trial(name, fault)


def sentence(trial: Trial) -> str:
    what = "found" if trial.was_found else "MISSED" if trial.fault else "healthy"
    alarms = "; ".join(f"{each.check}: {each.what}" for each in trial.false_alarms)
    return f"{trial.fault or '(no fault)'}: {what}{f', FALSE ALARMS: {alarms}' if alarms else ''}"


def _trial(name: str, fault: Fault) -> Trial:
    faults.send_heartbeats()
    with fault.inject():
        found = examine(fault.limits, checks=fault.checks)
    faults.send_heartbeats()
    check, _, _ = name.partition("/")
    alarms = [each for each in found if each.check != check]
    return Trial(name, any(each.check == check for each in found), alarms + examine())


@contextmanager
def _database() -> Iterator[None]:
    database = transaction.get_connection()
    name, original = f"doctor_{uuid4().hex[:12]}", database.settings_dict["NAME"]
    with postgres.beside() as connection:
        connection.execute(CREATE.format(name=name))
        database.close()
        database.settings_dict["NAME"] = name
        try:
            call_command("migrate", verbosity=0)
            yield
        finally:
            database.close()
            database.settings_dict["NAME"] = original
            connection.execute(DROP.format(name=name))
