"""Breaks what PostgreSQL stands on: the power goes, the disk cannot sync, the disk is full."""

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
# Of one core, by all workers together, while there is no database: they wait, they do not spin.
PATIENT = 0.5


class Powers(Nemesis):
    """disk: what the database lies on. words: the database's own, its log."""

    def __init__(self, stage: Stage, seed: int, *, disk: Disk, words: Path) -> None:
        super().__init__(stage, seed)
        self.disk, self.words = disk, words

    def cut_power(self, fault: Fault) -> tuple[int, str]:
        """Everybody of it dies, and whatever was not synced is gone."""
        self._lurk(WEBS[fault.target])
        with self.stage.keeper.lock:
            self.stage.keeper.kill("postgres")
            lost = self.disk.lose_power()
        return lost, f"{lost} writes were gone"

    def fail_syncs(self, fault: Fault) -> tuple[int, str]:
        """EIO; whoever is in the middle of a commit hears nothing of it, and asks again."""
        self._lurk(WEBS[fault.target])
        before = self._said("Input/output error")
        self.disk.fail()
        stopped = self._noticed("Input/output error", before)
        sleep(AWAY_SECONDS / 2)
        self.disk.work()
        again = " and was started again" if self._start_again_if_stuck() else ""
        return stopped, f"{stopped} times the database said so{again}"

    def fill_disk(self, fault: Fault) -> tuple[int, str]:
        before = self._said("No space left on device")
        ballast = self.disk.data.with_name("ballast")
        _fill(ballast)
        self._use_up_what_is_kept_ready()
        full = self._noticed("No space left on device", before)
        share = self._look_on()
        ballast.unlink()
        self.hits["workers_waited"] += share < PATIENT
        return (
            full,
            f"{full} times the database said so; the workers used {share:.0%} of a core meanwhile",
        )

    def make_peace(self) -> None:
        self.disk.work()
        super().make_peace()

    def _start_again_if_stuck(self) -> bool:
        """PostgreSQL 18 may stay "in recovery mode" for ever when its own recovery meets the error
        that it recovers from: the startup process is gone, and the postmaster waits. Whoever
        watches a server kills it then."""
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

    def _look_on(self) -> float:
        """While it is away: whether web says that it is not ready, and how much the workers do
        about it."""
        begun, used = monotonic(), self._used()
        while monotonic() - begun < AWAY_SECONDS:
            for url in self.stage.urls:
                try:
                    answer = httpx.get(f"{url}/health/ready", timeout=3)
                except httpx.HTTPError:
                    continue
                self.hits["said_not_ready"] += answer.status_code == 503
            sleep(0.2)
        return (self._used() - used) / (monotonic() - begun)

    def _used(self) -> float:
        """Seconds of processors, by all workers."""
        times = [child.cpu_times() for name in WORKERS for child in self.stage.pool_children(name)]
        return float(sum(each.user + each.system for each in times))

    def _use_up_what_is_kept_ready(self) -> None:
        """Segments of WAL that are kept for later have their place already."""
        try:
            with psycopg.connect(self.stage.server, autocommit=True, connect_timeout=2) as server:
                for number in range(20):
                    server.execute(
                        f"SELECT pg_logical_emit_message(false, 'full', '{number}')".encode()
                    )
                    server.execute("SELECT pg_switch_wal()")
        except psycopg.Error:
            return

    def _noticed(self, words: str, before: int) -> int:
        until = monotonic() + NOTICED_SECONDS
        while (now := self._said(words)) == before and monotonic() < until:
            sleep(0.1)
        return now - before

    def _said(self, words: str) -> int:
        return self.words.read_text(errors="replace").count(words)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
