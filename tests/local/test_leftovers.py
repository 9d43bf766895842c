"""No process outlives its run, neither after its end nor after SIGKILL."""

import json
import os
import signal
import subprocess
import sys
from time import monotonic, sleep

import psutil
import pytest

from tools.devserver import folder, processes
from tools.devserver.environment import DATABASE, REDIS
from tools.devserver.errors import LauncherError

from .conftest import busy

# As on systems without a parent death signal.
DEAF = "processes.ends_with_us = execute.ends_with_us = lambda stop_signal: None"


@pytest.fixture
def elsewhere(monkeypatch):
    """The environment names both services, so none is started."""
    monkeypatch.setenv(DATABASE, "postgresql://elsewhere/orders")
    monkeypatch.setenv(REDIS, "redis://elsewhere/0")


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's death"
)
def test_the_services_of_a_killed_owner_end_by_themselves(data, local):
    owner = local("exec", "--data", data, "--", "sh", "-c", "echo ready; sleep 60")
    assert owner.stdout.readline() == "ready\n"
    owner.kill()
    assert eventually(lambda: busy(data) == [])


def test_the_next_start_ends_what_a_killed_owner_has_left_running(data, local, capsys):
    owner = local("exec", "--data", data, "--", "sh", "-c", "echo ready; exec sleep 2", after=DEAF)
    assert owner.stdout.readline() == "ready\n"
    owner.kill()
    owner.wait()
    assert len(busy(data)) > 1
    with folder.claimed(data):
        assert "stopped its processes: postgres, redis" in capsys.readouterr().out
        assert busy(data) == []


def test_the_next_throwaway_removes_the_folder_of_a_killed_owner(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with folder.throwaway() as kept:
        abandoned = kept.with_name("abandoned")
        (abandoned / "pids").mkdir(parents=True)
        with folder.throwaway():
            assert kept.exists()
            assert not abandoned.exists()


def test_a_process_that_was_given_the_pid_later_is_left_alone(data):
    with folder.claimed(data):
        innocent = subprocess.Popen(["sleep", "60"], process_group=0)
        note = {
            "pid": innocent.pid,
            "born": psutil.Process(innocent.pid).create_time() - 60,
            "stop_signal": 9,
        }
        (folder.pids(data) / "web").write_text(json.dumps(note))
        assert processes.reap(folder.pids(data)) == []
        assert innocent.poll() is None
        innocent.kill()
        innocent.wait()


def test_a_folder_that_is_in_use_is_refused(data):
    refused = pytest.raises(LauncherError, match=f"in use by process {os.getpid()}")
    with folder.claimed(data), refused, folder.claimed(data):
        pass


def test_exec_passes_on_the_exit_code_and_leaves_nothing(data, local):
    command = local("exec", "--data", data, "--", "sh", "-c", 'echo "$DATABASE_URL"; exit 7')
    output, _ = command.communicate(timeout=30)
    assert output.startswith("postgresql://")
    assert command.returncode == 7
    assert busy(data) == []


def test_exec_of_nothing_says_so_in_one_sentence(data, local, elsewhere):
    command = local("exec", "--data", data, "--", "no-such-command")
    assert (
        command.communicate()[0]
        == "orders: cannot run no-such-command: No such file or directory\n"
    )
    assert command.returncode == 1


def test_an_interrupted_command_is_seen_out(data, local, elsewhere):
    command = local("exec", "--data", data, "--", "sh", "-c", "echo ready; exec sleep 60")
    assert command.stdout.readline() == "ready\n"
    command.send_signal(signal.SIGTERM)
    command.communicate(timeout=10)
    assert command.returncode == 128 + signal.SIGTERM


def eventually(condition) -> bool:
    end = monotonic() + 10
    while not condition() and monotonic() < end:
        sleep(0.05)
    return condition()
