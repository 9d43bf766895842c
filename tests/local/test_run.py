"""`make run`, from the first start to the last process gone."""

import signal
from time import monotonic
from urllib.request import urlopen

import psutil
import pytest

from config.local import ports

from .conftest import busy


@pytest.mark.slow
def test_the_platform_runs_until_it_is_asked_to_stop(data, local, monkeypatch):
    monkeypatch.setenv("PORT", str(ports.free()))
    shop = local("run", "--data", data)
    url = spoken(shop, "answers").split()[2]
    assert urlopen(f"{url}/static/admin/css/base.css").status == 200

    second = local("run", "--data", data)
    assert second.communicate()[0] == f"orders: {data} is in use by process {shop.pid}: stop that one first\n"
    assert second.returncode == 1

    family = psutil.Process(shop.pid).children(recursive=True)
    shop.send_signal(signal.SIGTERM)
    shop.communicate(timeout=30)
    assert shop.returncode == 0
    assert [process for process in family if process.is_running()] == []
    assert busy(data) == []


def spoken(process, words: str) -> str:
    """The next line with these words in it."""
    end, lines = monotonic() + 60, []
    while monotonic() < end and (line := process.stdout.readline()):
        lines.append(line)
        if words in line:
            return line
    raise AssertionError(f"{words!r} was not said:\n{''.join(lines)}")
