"""Faults of the machine below PostgreSQL: power loss, failing fsync, a full disk."""

from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import httpx
import psycopg

from tools.verification.chaos.nemesis import Nemesis
from tools.verification.chaos.plan import Fault
from tools.verification.chaos.stage import WEBS, WORKERS, Stage
from tools.verification.faults.disk import Disk

NOTICED_SECONDS, AWAY_SECONDS = 8.0, 5.0
# A recovery takes a tenth of a second here.
STUCK_SECONDS = 10.0
# Share of a core that all workers together may use without a database: they wait, they do not spin.
IDLE = 0.5


class DiskNemesis(Nemesis):
    """disk: that of the database. log_file: the database's log."""

    def __init__(self, stage: Stage, seed: int, *, disk: Disk, log_file: Path) -> None:
        super().__init__(stage, seed)
        self.disk, self.log_file = disk, log_file

    def cut_power(self, fault: Fault) -> tuple[int, str]:
        """Kill every process of PostgreSQL and lose all unsynced writes."""
        self._await_transaction(WEBS[fault.target])
        with self.stage.keeper.lock:
            self.stage.keeper.kill("postgres")
            lost = self.disk.lose_power()
        return lost, f"{lost} writes lost"

    def fail_syncs(self, fault: Fault) -> tuple[int, str]:
        """fsync fails with EIO; clients of commits in progress get no response, and retry."""
        self._await_transaction(WEBS[fault.target])
        before = self._count_in_log("Input/output error")
        self.disk.fail()
        stopped = self._noticed("Input/output error", before)
        self._observe(AWAY_SECONDS / 2)
        self.disk.work()
        again = "; it was restarted" if self._restart_if_stuck() else ""
        return stopped, f"{stopped} times in the database's log{again}"

    def fill_disk(self, fault: Fault) -> tuple[int, str]:
        before = self._count_in_log("No space left on device")
        ballast = self.disk.data.with_name("ballast")
        _fill(ballast)
        self._use_up_wal_segments()
        full = self._noticed("No space left on device", before)
        share = self._observe(AWAY_SECONDS)
        ballast.unlink()
        self.hits["workers_waited"] += share < IDLE
        return (
            full,
            f"{full} times in the database's log; the workers used {share:.0%} of a core meanwhile",
        )

    def stop_faults(self) -> None:
        self.disk.work()
        super().stop_faults()

    def _restart_if_stuck(self) -> bool:
        """PostgreSQL 18 may stay "in recovery mode" for ever when its recovery meets the same error
        again: the startup process is gone, and the postmaster waits. A supervisor kills it then."""
        until = monotonic() + STUCK_SECONDS
        while monotonic() < until:
            with (
                suppress(psycopg.OperationalError),
                psycopg.connect(self.stage.server, connect_timeout=2),
            ):
                return False
            sleep(0.2)
        self.stage.keeper.kill("postgres")
        return True

    def _observe(self, seconds: float) -> float:
        """While the database is down: count 503 of /health/ready. Returns the workers' use of a
        core."""
        began, used = monotonic(), self._used()
        while monotonic() - began < seconds:
            for url in self.stage.urls:
                try:
                    answer = httpx.get(f"{url}/health/ready", timeout=3)
                except httpx.HTTPError:
                    continue
                self.hits["not_ready_reported"] += answer.status_code == 503
            sleep(0.2)
        return (self._used() - used) / (monotonic() - began)

    def _used(self) -> float:
        """CPU seconds of all workers."""
        times = [child.cpu_times() for name in WORKERS for child in self.stage.pool_children(name)]
        return float(sum(each.user + each.system for each in times))

    def _use_up_wal_segments(self) -> None:
        """Recycled WAL segments already have their space; fill them."""
        try:
            with psycopg.connect(self.stage.server, autocommit=True, connect_timeout=2) as server:
                for number in range(20):
                    server.execute(
                        f"SELECT pg_logical_emit_message(false, 'full', '{number}')".encode()
                    )
                    server.execute("SELECT pg_switch_wal()")
        except psycopg.Error:
            return

    def _noticed(self, text: str, before: int) -> int:
        until = monotonic() + NOTICED_SECONDS
        while (now := self._count_in_log(text)) == before and monotonic() < until:
            sleep(0.1)
        return now - before

    def _count_in_log(self, text: str) -> int:
        return self.log_file.read_text(errors="replace").count(text)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
