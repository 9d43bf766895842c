"""Several processes, each with its share of the keys: rows are independent, so nobody waits for
another."""

import multiprocessing
import os
import time
from collections.abc import Callable
from math import inf

from django.db import connections

from eventstore.subscriptions import Projection

from . import fold as folding
from . import records
from . import shadow_table as shadow
from . import swap as swapping
from .fold import RebuildFailed, Share
from .records import Rebuilding
from .swap import Stopped

LOOK_SECONDS = 0.5

FORK = multiprocessing.get_context("fork")


class ShareLost(Exception):
    """A process ended without a word; what it had committed stays, and the rebuild can be gone on
    with."""


def fold_share(
    rebuild: Rebuilding,
    projection: Projection,
    number: int,
    *,
    seconds: float = inf,
    tell: Callable[[], None] = lambda: None,
) -> None:
    parent = os.getppid()

    def advance(before: int, to: int, events: int, took: float) -> None:
        if os.getppid() != parent:
            raise Stopped("Whoever began this process has ended.")
        swapping.advance(rebuild, [number], before, to, events, took)

    folding.fold(
        rebuild.subscription,
        projection,
        shadow.shadow(shadow.name_of(projection)),
        share=Share(number, rebuild.shares),
        after=records.positions(rebuild.id)[number],
        until=rebuild.head,
        advance=advance,
        tell=tell,
        seconds=seconds,
    )


def fold_shares(rebuild: Rebuilding, projection: Projection, tell: Callable[[], None]) -> None:
    """Raises RebuildFailed, Stopped, ShareLost."""
    connections.close_all()  # a process must not inherit one: it would speak in between
    processes = [
        FORK.Process(target=_run, args=(rebuild, projection, number))
        for number in range(rebuild.shares)
    ]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            time.sleep(LOOK_SECONDS)
            tell()
            if any(process.exitcode for process in processes):
                break
    finally:
        for process in processes:
            process.terminate()
            process.join()
    _raise_what_they_said(rebuild)


def _run(rebuild: Rebuilding, projection: Projection, number: int) -> None:
    try:
        fold_share(rebuild, projection, number)
    except RebuildFailed as error:
        records.become(rebuild.id, "failed", error=str(error))
        raise SystemExit(1) from None
    except (Stopped, KeyboardInterrupt):
        raise SystemExit(1) from None


def _raise_what_they_said(rebuild: Rebuilding) -> None:
    now = records.get(rebuild.id)
    if now.state == "failed":
        raise RebuildFailed(now.error)
    if not now.is_open:
        raise Stopped(f"The rebuild of {now.subscription} was cancelled.")
    if now.position < now.head:
        raise ShareLost(
            f"A process of the rebuild of {now.subscription} was lost; run it again, and it"
            " goes on."
        )
