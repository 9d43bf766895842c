"""Seams: wherever a process may die between two things that it does to the database, to disk or to
a provider.

Nobody lists them. A child of this process does what is to be done, counts each statement, commit
and call, and dies by SIGKILL after the n-th; the next one after the one behind it, until one lives
to the end.
"""

import os
import signal
import traceback

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from eventstore import postgres
from eventstore.effects import calls

from .concurrently import until

OTHERS = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'seam'"
)


class Counter:
    """Of the seams that were passed. deadly: the one after which it kills its process."""

    def __init__(self, deadly):
        self.deadly, self.passed = deadly, 0

    def after(self, function):
        def counted(*args, **kwargs):
            answer = function(*args, **kwargs)
            self.passed += 1
            if self.passed == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return counted


def lives_through(act, *, deadly):
    """Whether a process of its own lives through an act in which it dies at that seam."""
    child = os.fork()
    if not child:
        _act_and_exit(act, deadly)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it failed: see its words above"
    return not os.WIFSIGNALED(status)


def until_alone(observer):
    """A killed process' backends may need a moment to notice."""
    until(lambda: not observer.execute(OTHERS).fetchall())


def _act_and_exit(act, deadly):
    try:
        _as_a_process_of_its_own()
        counter = Counter(deadly)
        psycopg.Cursor.execute = counter.after(psycopg.Cursor.execute)
        BaseDatabaseWrapper._commit = counter.after(BaseDatabaseWrapper._commit)
        postgres.copy_into = counter.after(postgres.copy_into)
        calls.Call.ask = counter.after(calls.Call.ask)
        act()
        os._exit(0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    os._exit(1)


def _as_a_process_of_its_own():
    """With connections and threads of its own: its parent's are left alone, and not closed."""
    for each in connections.all(initialized_only=True):
        each.connection = None
        each.settings_dict["OPTIONS"] = each.settings_dict["OPTIONS"] | {"application_name": "seam"}
    calls.this_process.forget()
