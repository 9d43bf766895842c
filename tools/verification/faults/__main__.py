"""Power loss, EIO and a full disk under load, then the checker. The last line of output is one JSON
object."""

import ctypes
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time

from tools.devserver import account, environment, folder, services
from tools.devserver.processes import Program
from tools.verification.chaos import controls, report
from tools.verification.chaos.__main__ import REPORTS
from tools.verification.chaos.nemesis import Nemesis
from tools.verification.chaos.proxy import Network
from tools.verification.chaos.run import Options, Result, run
from tools.verification.chaos.stage import Stage
from tools.verification.faults.disk import Disk, compiler
from tools.verification.faults.nemesis import DiskNemesis

By = Callable[[Stage, int], Nemesis]

CLONE_NEWNS = 0x00020000
CONTROL = "asynchronous_commit"
# Enough for the database and some minutes of WAL; small enough to fill quickly.
SIZE = "512m"
LITTLE_WAL = ("--max_wal_size=64MB", "--min_wal_size=32MB")
# What must happen while the database is down.
MUST_HIT = ("not_ready_reported", "workers_waited")


def main() -> int:
    arguments = _arguments()
    if compiler() is None:
        print("Not run: no C compiler to build the fault-injecting disk.")
        return 1
    small = os.geteuid() == 0 and _unshare_mounts()
    # The run kills its servers, so it never uses those of the environment.
    for name in (environment.DATABASE, environment.REDIS, environment.BROKER):
        os.environ.pop(name, None)
    network = Network()
    with folder.throwaway() as path, services.started(path) as found:
        stage = Stage(path, found.running, found.settings, network)
        try:
            with _disk(stage, path, small=small) as disk:
                by = partial(DiskNemesis, disk=disk, log_file=folder.log(path, "postgres"))
                return _run(stage, arguments, by, small=small)
        finally:
            stage.keeper.close()
            network.close()


def _run(stage: Stage, arguments: Namespace, by: By, *, small: bool) -> int:
    deck = {"cut_power": 2, "fail_syncs": 1} | ({"fill_disk": 1} if small else {})
    if not small:
        print("The disk is not filled: only root can mount a small one.")
    options = Options(arguments.seconds, arguments.rate, (7, 9), deck=deck)
    result = run(stage, arguments.seed, options, by=by)
    print(report.summary("faults", result), flush=True)
    red, forgetful = _control(stage, arguments, by)
    print(report.summary(f"{CONTROL}, {'found' if red else 'NOT FOUND'}", forgetful), flush=True)
    print(f"report: {report.write(arguments.reports, result, {CONTROL: (red, forgetful)})}")
    missed = [*result.missed, *(each for each in MUST_HIT if small and not result.hits.get(each))]
    if missed:
        print(f"The run proves nothing: these had no effect: {', '.join(missed)}")
    print(report.line(result, {CONTROL: red}), flush=True)
    return 0 if result.passed and not missed and red else 1


def _control(stage: Stage, arguments: Namespace, by: By) -> tuple[bool, Result]:
    """A database that does not wait for its disk must lose acknowledged orders, and the checker
    must
    find that."""
    options = Options(12, arguments.rate, controls.UP_AGAIN, deck={"cut_power": 1}, settle=6.0)
    with controls.asynchronous(stage):
        result = run(stage, arguments.seed + 1, options, by=by)
    return bool(
        controls.SHOWS_AS[CONTROL] & {violation.check for violation in result.violations}
    ), result


def _unshare_mounts() -> bool:
    """Enter a new mount namespace: our mounts are invisible elsewhere and end with this process."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        return False
    return (
        subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL).returncode == 0
    )


@contextmanager
def _disk(stage: Stage, path: Path, *, small: bool) -> Iterator[Disk]:
    """Move PostgreSQL to a disk of its own."""
    owner = account.of_services()
    home = account.home(path, owner)
    place, journal = home / "disk", home / "journal"
    for each in (place, journal):
        owner.make_folder(each)
    if small:
        options = f"size={SIZE},mode=700,uid={owner.uid},gid={owner.gid}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    disk = Disk(place / "postgres", journal, home / "disk.so")
    stage.keeper.change("postgres", lambda program: _moved(program, disk))
    try:
        stage.wait_for_database()
        yield disk
    finally:
        stage.keeper.close()
        stage.keeper.kill("postgres")
        if small:
            subprocess.run(["umount", str(place)], check=True)


def _moved(program: Program, disk: Disk) -> Program:
    subprocess.run(["cp", "-a", str(program.folder), str(disk.data)], check=True)
    command = [str(disk.data) if each == str(program.folder) else each for each in program.command]
    environment = {**program.environment, **disk.environment}
    return replace(
        program, command=(*command, *LITTLE_WAL), folder=disk.data, environment=environment
    )


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tools.verification.faults", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("SEED") or int(time()) % 1_000_000)
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="seconds of load and faults (%(default)s)"
    )
    parser.add_argument("--rate", type=float, default=6, help="orders a second (%(default)s)")
    parser.add_argument("--reports", type=Path, default=REPORTS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
