"""PostgreSQL on a disk with power loss keeps what it has acknowledged, and the disk does lose
data."""

import re
import threading
import time
from contextlib import suppress
from dataclasses import replace
from signal import SIGKILL

import psutil
import psycopg
import pytest

from tools.devserver import account, folder, ports, postgres, process_tree, processes
from tools.verification.faults.disk import Disk, compiler

pytestmark = pytest.mark.skipif(
    compiler() is None, reason="no C compiler to build the fault-injecting disk"
)

WRITERS, ENOUGH = 4, 200


def test_what_was_acknowledged_is_there_when_the_power_comes_back(server):
    acknowledged = write_until(server, server.die)
    assert server.disk.lose_power()
    server.start()
    assert len(acknowledged) >= ENOUGH
    assert acknowledged <= there(server)


def test_a_server_that_does_not_wait_for_the_disk_has_lost_some_of_it(server):
    """The disk loses data, or the test above would prove nothing."""
    server.say("ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()")
    acknowledged = write_until(server, server.die, options="-c synchronous_commit=off")
    server.disk.lose_power()
    server.start()
    assert acknowledged - there(server)


def test_when_nothing_can_be_synced_nothing_is_acknowledged_and_nothing_of_before_is_lost(server):
    acknowledged = write_until(server, server.disk.fail)
    with pytest.raises(psycopg.OperationalError), server.connect() as connection:
        connection.execute("INSERT INTO written VALUES (-1)")
    server.die()
    assert re.search("PANIC: .*: Input/output error", server.log.read_text()), (
        "it stops rather than goes on"
    )
    server.disk.work()
    server.start()
    assert acknowledged <= there(server)


def write_until(server, end, **options):
    """Run writers, each row in a commit of its own. Returns the acknowledged rows."""
    acknowledged, numbers = set(), iter(range(server.next, server.next + 1_000_000))

    def write():
        with suppress(psycopg.Error), server.connect(**options) as connection:
            for number in numbers:
                connection.execute("INSERT INTO written VALUES (%s)", [number])
                acknowledged.add(number)

    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    for each in writers:
        each.start()
    until = time.monotonic() + 20
    while len(acknowledged) < ENOUGH and time.monotonic() < until:
        time.sleep(0.01)
    end()
    for each in writers:
        each.join(20)
    server.next = next(numbers)
    return acknowledged


def there(server):
    with server.connect() as connection:
        return {row[0] for row in connection.execute("SELECT number FROM written").fetchall()}


@pytest.fixture(scope="module")
def server():
    with folder.throwaway() as path:
        made = Server(path)
        made.start()
        made.say("CREATE TABLE written (number integer)")
        try:
            yield made
        finally:
            made.die()


class Server:
    def __init__(self, path):
        owner = account.of_services()
        self.path, self.home, self.port = path, account.home(path, owner), ports.free()
        self.log = folder.log(path, "postgres")
        program = postgres.program(self.home, port=self.port, log=self.log, owner=owner)
        journal = self.home / "journal"
        owner.make_folder(journal)
        self.disk = Disk(self.home / postgres.NAME, journal, self.home / "disk.so")
        self.program = replace(
            program, environment={**program.environment, **self.disk.environment}
        )
        self.running, self.next = None, 0

    def start(self):
        self.running = processes.start(self.program, folder.pids(self.path))
        until = time.monotonic() + 30
        while not postgres.answers(self.home, self.port):
            assert self.running.process.poll() is None, "it has ended"
            assert time.monotonic() < until, "it does not answer"
            time.sleep(0.05)

    def die(self):
        """Kill the server with all of its processes."""
        if self.running:
            family = process_tree.of(self.running.process.pid, SIGKILL)
            process_tree.kill([family])
            self.running.process.wait()
            psutil.wait_procs(family.members, timeout=10)

    def say(self, *statements):
        with self.connect() as connection:
            for each in statements:
                connection.execute(each)

    def connect(self, **options):
        return psycopg.connect(
            postgres.url(self.home, self.port), autocommit=True, connect_timeout=5, **options
        )
