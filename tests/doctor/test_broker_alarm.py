"""A RabbitMQ that is short of memory accepts connections but no messages: the doctor reports it."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from eventstore.operations.doctor import Limits
from eventstore.operations.doctor import broker as checks
from tools.devserver import ports

# Debian's wrapper switches to a user of its own; these are the programs that it runs.
SERVER, CONTROL = "/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmqctl"

pytestmark = pytest.mark.skipif(
    not (os.access(SERVER, os.X_OK) and shutil.which("erl")),
    reason="no RabbitMQ: apt-get install rabbitmq-server",
)


class Rabbit:
    def __init__(self, folder):
        self.port, distribution = ports.free(), ports.free()
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = true\n"
        )
        self.environment = os.environ | {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"doctor{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_MNESIA_BASE": str(folder),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            # Erlang's port mapper, a separate one for this server: a shared one would keep running.
            "ERL_EPMD_PORT": str(ports.free()),
        }
        self.log = (folder / "log").open("wb")
        self.program = subprocess.Popen(
            [SERVER],
            env=self.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def control(self, *words):
        return subprocess.run(
            [CONTROL, *words], env=self.environment, capture_output=True, text=True, timeout=60
        )

    def until_it_answers(self):
        end = time.monotonic() + 90
        while self.control("await_startup", "--timeout", "5").returncode:
            assert self.program.poll() is None, "RabbitMQ has ended"
            assert time.monotonic() < end, "RabbitMQ does not answer"
        return self

    def stop(self):
        family = psutil.Process(self.program.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(self.program.pid, signal.SIGKILL)
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.program.wait()
        # Possible only when no node is registered any more.
        epmd = self.environment["ERL_EPMD_PORT"]
        subprocess.run(
            ["epmd", "-port", epmd, "-relaxed_command_check", "-kill"],
            capture_output=True,
            timeout=20,
        )
        self.log.close()


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory):
    rabbit = Rabbit(tmp_path_factory.mktemp("rabbit"))
    try:
        yield rabbit.until_it_answers()
    finally:
        rabbit.stop()


@pytest.fixture
def broker(rabbit, settings):
    from celery import current_app

    settings.EVENTSTORE_WAKE_WORKERS = True
    settings.CELERY_BROKER_URL = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
    was = current_app.conf.broker_write_url, current_app.conf.broker_url
    current_app.conf.broker_write_url = current_app.conf.broker_url = settings.CELERY_BROKER_URL
    yield rabbit
    current_app.conf.broker_write_url, current_app.conf.broker_url = was


def found():
    return [
        each.check for check in (checks.unreachable, checks.blocked) for each in check(Limits())
    ]


def test_it_is_found_while_the_alarm_lasts_and_not_after(broker):
    assert found() == []
    assert broker.control("set_vm_memory_high_watermark", "absolute", "1MB").returncode == 0
    try:
        assert found() == ["broker-alarm"]
    finally:
        broker.control("set_vm_memory_high_watermark", "0.9")
    assert found() == []


def test_one_that_is_away_is_away_and_has_no_alarm(broker, settings):
    settings.CELERY_BROKER_URL = f"amqp://guest:guest@127.0.0.1:{ports.free()}//"
    assert [each.check for each in checks.unreachable(Limits())] == ["broker"]
