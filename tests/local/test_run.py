"""`make run`, from the start to the end of the last process."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from time import monotonic, sleep
from urllib.request import urlopen

import psutil
import psycopg
import pytest

from tools.devserver import ports, postgres

from .conftest import ROOT, busy


@pytest.mark.slow
def test_the_platform_runs_until_it_is_asked_to_stop(data, local, monkeypatch):
    monkeypatch.setenv("PORT", str(ports.free()))
    shop = local("run", "--data", data)
    manage = spoken(shop, "before manage.py in another terminal").partition("terminal: ")[2].strip()
    url = spoken(shop, "answers").split()[2]
    assert urlopen(f"{url}/static/admin/css/base.css").status == 200

    assert (data / "environment").stat().st_mode & 0o777 == 0o600
    assert "orders.details" in elsewhere(f"{manage} && {sys.executable} manage.py subscriptions")

    assert statements_a_second(data) < MOST_WHEN_IDLE

    second = local("run", "--data", data)
    assert (
        second.communicate()[0]
        == f"orders: {data} is in use by process {shop.pid}: stop that one first\n"
    )
    assert second.returncode == 1

    family = psutil.Process(shop.pid).children(recursive=True)
    shop.send_signal(signal.SIGTERM)
    shop.communicate(timeout=30)
    assert shop.returncode == 0
    assert [process for process in family if process.is_running()] == []
    assert busy(data) == []
    assert not (data / "environment").exists()


def elsewhere(command: str) -> str:
    """Run the command in another terminal, without the settings of the services. Returns its
    output."""
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=bare, check=True, capture_output=True, text=True
    ).stdout


# Statements a second of all processes together, without requests.
MOST_WHEN_IDLE = 5.0
SETTLED_SECONDS, COUNTED_SECONDS = 15, 20


def statements_a_second(data) -> float:
    """Statements a second that the server gets, counted in its own log."""
    port = (data / "postgres" / "postmaster.pid").read_text().splitlines()[3]
    sleep(SETTLED_SECONDS)
    with psycopg.connect(postgres.url(data, int(port)), autocommit=True) as server:
        server.execute("ALTER SYSTEM SET log_statement = 'all'")
        server.execute("SELECT pg_reload_conf()")
        sleep(COUNTED_SECONDS)
        server.execute("ALTER SYSTEM RESET log_statement")
        server.execute("SELECT pg_reload_conf()")
    log = (data / "postgres.log").read_text(errors="replace")
    found = re.findall(r"LOG:  (?:statement|execute [^:]+): (.*(?:\n\t.*)?)", log)
    print(*Counter(" ".join(each.split())[:100] for each in found).most_common(), sep="\n")
    return len(found) / COUNTED_SECONDS


def spoken(process, words: str, *, seconds: float = 60) -> str:
    """The next line that contains these words."""
    end, lines = monotonic() + seconds, []
    while monotonic() < end and (line := process.stdout.readline()):
        lines.append(line)
        if words in line:
            return line
    raise AssertionError(f"{words!r} was not printed:\n{''.join(lines)}")
