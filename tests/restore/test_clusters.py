"""Real servers lose their tail while a process keeps running: the epoch notices, and repairs it."""

import shutil
import subprocess
from itertools import count

import pytest

from tests.eventstore.concurrently import until
from tools.devserver import account, folder, ports, postgres

from .clusters import Cluster, Shop, manage

numbers = count()
WEB = ["-c", "import config.wsgi"]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """A stopped cluster with our tables."""
    with folder.throwaway() as path:
        home = account.home(path, account.of_services())
        cluster = Cluster(home, ports.free()).start()
        done = manage(cluster.url, "manage.py", "migrate", "-v", "0")
        assert done.returncode == 0, done.stderr
        # Nothing of the server prevents a copy.
        cluster.ask("CHECKPOINT")
        cluster.stop()
        yield cluster


@pytest.fixture
def clusters(migrated):
    """clusters(name) makes another copy of the cluster; all are stopped at the end."""
    made = []

    def copy(source=migrated, **options):
        # Inside our own folder: the next run deletes everything next to it.
        copied = source.copy(migrated.home / f"copy-{next(numbers)}")
        copied.options |= options
        made.append(copied)
        return copied

    yield copy
    for each in made:
        each.kill()
        shutil.rmtree(each.home)


@pytest.fixture
def shops():
    opened = []

    def shop(cluster):
        opened.append(Shop(cluster.url))
        return opened[-1]

    yield shop
    for each in opened:
        each.close()


def test_after_a_crash_that_forgot_what_it_had_acknowledged(clusters, shops):
    cluster = clusters(synchronous_commit="off", wal_writer_delay="10s").start(port=ports.free())
    shop = shops(cluster)
    shop.do("list_(1000)")
    cluster.ask("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'a', 'b')")
    assert shop.do("reprice(1200)") == 2
    cluster.kill()
    cluster.start()
    assert shop.do("place('o-1')") == 1000
    assert shop.do("epoch()")[:2] == [2, "crash"]


def test_after_a_failover_to_a_standby_that_was_behind(clusters, shops):
    primary = clusters().start(port=ports.free())
    shop = shops(primary)
    shop.do("list_(1000)")
    standby = clusters(primary)
    standby.stand_by(primary)
    standby.start(port=ports.free())
    shop.do("list_(1100)")
    until(lambda: standby.ask("SELECT count(*) FROM eventstore_event") == [(2,)], seconds=60)
    standby.stop()
    seen = shop.do("reprice(1200)")
    before = shop.do("last()")
    primary.kill()
    standby.start(port=ports.free())
    standby.promote()
    standby.stop()
    standby.start(port=primary.port)
    assert shop.do("place('o-1')") == 1100
    number, reason, timeline = shop.do("epoch()")
    assert (number, reason, timeline) == (2, "promotion", 2)
    assert (seen, shop.do("version('product-CUP')")) == (3, 2)
    assert shop.do("last()") > before + 1_000_000  # no lost position is assigned again


def test_after_a_base_backup_was_put_in_its_place(clusters, shops):
    primary = clusters().start(port=ports.free())
    shop = shops(primary)
    shop.do("list_(1000)")
    backup = clusters(primary)
    shop.do("reprice(1200)")
    primary.kill()
    backup.start(port=primary.port)
    assert shop.do("place('o-1')") == 1000
    assert shop.do("epoch()")[0] == 2


def test_after_a_cold_copy_was_put_in_its_place_which_no_server_can_tell(clusters, shops):
    """Nothing in the log shows it, but a process remembers a higher version than the log has."""
    primary = clusters().start(port=ports.free())
    shop = shops(primary)
    shop.do("list_(1000)")
    primary.stop()
    cold = clusters(primary)
    primary.start()
    shop.do("reprice(1200)")
    primary.stop()
    cold.start(port=primary.port)
    assert shop.do("place('o-1')") == 1000
    assert shop.do("epoch()")[:2] == [2, "went back"]


def test_a_dump_in_another_database_is_not_served_before_it_was_seen_to(clusters):
    cluster = clusters().start(port=ports.free())
    cluster.ask("CREATE DATABASE restored")
    dump = postgres._server(cluster.owner).with_name("pg_dump")
    dumped = subprocess.run(
        [dump, cluster.url], capture_output=True, check=True, **cluster.owner.for_popen()
    ).stdout
    other = cluster.url.replace("/orders", "/restored")
    psql = postgres._server(cluster.owner).with_name("psql")
    subprocess.run(
        [psql, "-q", other],
        input=dumped,
        capture_output=True,
        check=True,
        **cluster.owner.for_popen(),
    )
    assert manage(cluster.url, *WEB).returncode == 0
    refused = manage(other, *WEB)
    assert refused.returncode
    assert (
        "It was restored or copied. First check what it lacks: manage.py after_restore"
        in refused.stderr
    )
    doctor = manage(other, "manage.py", "doctor")
    assert doctor.returncode == 2
    assert "log-epoch" in doctor.stdout
    seen_to = manage(other, "manage.py", "after_restore", "--reason", "a drill")
    assert seen_to.returncode == 0, seen_to.stderr + seen_to.stdout
    assert "Epoch 2 of the log began" in seen_to.stdout
    assert manage(other, *WEB).returncode == 0
