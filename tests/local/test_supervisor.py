"""Programs that die are restarted; a first signal stops them, a second one kills them."""

import os
import signal
import sys
from threading import Event, Timer
from time import sleep

import pytest

from tools.devserver import account, environment, process_tree
from tools.devserver.processes import Program
from tools.devserver.supervisor import REQUESTS, Stopped, Supervisor

from .conftest import busy

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready',"
    " flush=True); time.sleep(60)"
)


@pytest.fixture
def supervisor(tmp_path):
    before = {request: signal.getsignal(request) for request in REQUESTS}
    yield Supervisor(tmp_path)
    for request, handler in before.items():
        signal.signal(request, handler)


def test_what_dies_is_started_again_and_says_its_name_before_every_line(supervisor, data, capfd):
    after(2.5, signal.SIGTERM)  # the third time would be a while later
    supervisor.keep(program("echo", "sh", "-c", "echo once more; exit 3", data=data))
    with pytest.raises(Stopped):
        supervisor.watch()
    supervisor.stop()
    output = capfd.readouterr().out
    assert output.count("echo          | once more") == 2
    assert "local         | echo exited with code 3; restarting in 1 s" in output


def test_what_runs_to_its_end_tells_its_exit_code(supervisor, data, tmp_path):
    assert supervisor.run(program("once", "sh", "-c", "exit 4", data=data)) == 4
    assert list(tmp_path.glob("once")) == []


def test_stopping_ends_the_children_of_children_too(supervisor, data):
    supervisor.keep(program("parent", "sh", "-c", f"sleep 60 {data} & sleep 60", data=data))
    supervisor.stop()
    assert busy(data) == []


def test_stopping_ends_what_is_started_while_we_look_as_well(supervisor, data, monkeypatch):
    """A leader that forks after its tree was listed, and before it gets the signal."""
    data.mkdir()
    os.mkfifo(data / "go")
    supervisor.keep(
        program("parent", "sh", "-c", "read line < go; sleep 60 & exec sleep 61", data=data)
    )
    looked, of = Event(), process_tree.of

    def of_and_then_it_forks(pid, stop_signal):
        family = of(pid, stop_signal)
        (data / "go").write_text("now\n")
        while not any("sleep 60" in each for each in busy(data)):
            sleep(0.02)
        looked.set()
        return family

    monkeypatch.setattr(process_tree, "of", of_and_then_it_forks)
    supervisor.stop()
    assert looked.is_set()
    assert busy(data) == []


def test_the_second_request_kills_what_does_not_listen(supervisor, data, capfd):
    supervisor.keep(program("stubborn", sys.executable, "-c", STUBBORN, data=data))
    while "ready" not in capfd.readouterr().out:
        supervisor.pause(0.05)
    after(0.1, signal.SIGINT)
    with pytest.raises(Stopped):
        supervisor.watch()
    after(0.2, signal.SIGINT)
    supervisor.stop()
    assert "killing everything" in capfd.readouterr().out


def program(name: str, *command: str, data) -> Program:
    data.mkdir(exist_ok=True)
    settings = environment.with_settings({})
    return Program(
        name=name, command=command, environment=settings, folder=data, account=account.ours()
    )


def after(seconds: float, request: signal.Signals) -> None:
    Timer(seconds, os.kill, (os.getpid(), request)).start()
