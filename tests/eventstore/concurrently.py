"""Other connections and threads, stopped and started by hand."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager

import psutil
from django.db import connection, connections


def parameters():
    settings = connection.settings_dict
    return {
        "host": settings["HOST"],
        "port": settings["PORT"] or None,
        "user": settings["USER"],
        "password": settings["PASSWORD"] or None,
        "dbname": settings["NAME"],
    }


def in_thread(function, *args):
    """Run in a thread that gives its database connection back; the future carries what it
    raised."""
    future: Future = Future()

    def run():
        try:
            future.set_result(function(*args))
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        finally:
            connections.close_all()

    threading.Thread(target=run, daemon=True).start()
    return future


def until(condition, *, seconds=5.0):
    """Wait for a condition to hold; the gate of tests with two connections."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.005)
    return found


def until_waiting(observer, count=1):
    """The gate: go on only when so many connections wait for a lock."""
    until(lambda: len(observer.execute(WAITING).fetchall()) >= count)


WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type ="
    " 'Lock'"
)


@contextmanager
def stopped(subscription, seam, *, idle_for="1s"):
    """A worker of its own that was stopped at the seam (SIGSTOP); killed at the end."""
    environment = {"DATABASE_URL": url_of_the_test(), "EVENTSTORE_WAKE_WORKERS": "0"}
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.eventstore.crashing", subscription, seam, "SIGSTOP"],
        env=os.environ | environment | {"DATABASE_IDLE_IN_TRANSACTION_TIMEOUT": idle_for},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED, seconds=30)
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def url_of_the_test():
    settings = connection.settings_dict
    address = f"{settings['HOST']}:{settings['PORT']}"
    return f"postgresql://{settings['USER']}:{settings['PASSWORD']}@{address}/{settings['NAME']}"
