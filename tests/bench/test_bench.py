"""The benchmarks run from end to end and print all figures; their values are not checked."""

import json
import subprocess
import sys

import psycopg
import pytest

from bench import brokers, servers

KEYS = {
    "orders_per_s",
    "cpu_ms_per_order",
    "wal_kb_per_order",
    "workers_2",
    "workers_4",
    "vs_celery_crud",
    "vs_eventsourcing",
    "vs_prototype",
    "lone_p50_ms",
    "lone_p99_ms",
    "hot_product_vs_spread",
    "import_orders_per_s",
    "full_vs_empty",
}
SMALL = ("--orders=20", "--rounds=1", "--lone=3")
SMALL += ("--crowd=60", "--crowd-rounds=1", "--import-lines=200", "--large=20000")


@pytest.mark.slow
def test_the_last_line_holds_every_figure_and_no_database_is_left_behind():
    pytest.importorskip(
        "eventsourcing", reason="the peers are installed by `make bench`: requirements-bench.txt"
    )
    before = _databases()
    bench = subprocess.run(
        [sys.executable, "-m", "bench", *SMALL], capture_output=True, text=True, timeout=280
    )
    assert bench.returncode == 0, bench.stderr
    figures = json.loads(bench.stdout.splitlines()[-1])
    assert set(figures) == KEYS
    assert all(figure > 0 for figure in figures.values())
    assert _databases() <= before


HTTP_KEYS = {
    "place_per_s",
    "place_vs_bare",
    "place_p99_ms",
    "query_per_s",
    "query_vs_bare",
    "ws_lag_p99_ms",
}


@pytest.mark.slow
def test_so_does_that_of_the_bench_over_http():
    small = ("--seconds=1", "--rounds=1", "--sockets=5")
    bench = subprocess.run(
        [sys.executable, "-m", "bench.http", *small], capture_output=True, text=True, timeout=120
    )
    assert bench.returncode == 0, bench.stderr
    figures = json.loads(bench.stdout.splitlines()[-1])
    assert set(figures) == HTTP_KEYS
    assert all(figure > 0 for figure in figures.values())


def _databases() -> set[str]:
    """The databases of benchmarks, perhaps also of another run."""
    with psycopg.connect(servers.at(servers.DATABASE_URL, "postgres")) as server:
        return {
            name
            for (name,) in server.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE 'bench\\_%'"
            )
        }


BROKER_KEYS = {*brokers.OF_KAFKA, *brokers.OF_RABBITMQ, "vs_debezium", "not_measured"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_bench_of_brokers_says_why_a_figure_is_null():
    small = ("--events=6000", "--compared=12000", "--lone=3", "--no-debezium")
    bench = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.brokers", *small],
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert bench.returncode == 0, bench.stderr
    figures = json.loads(bench.stdout.splitlines()[-1])
    assert set(figures) == BROKER_KEYS
    reasons = figures.pop("not_measured")
    assert reasons.pop("vs_debezium") == "left out"
    assert {name for name, figure in figures.items() if figure is None} == {
        "vs_debezium",
        *reasons,
    }
    for name in reasons:
        assert f"{name} is not measured: " in bench.stderr
