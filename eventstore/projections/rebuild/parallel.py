"""Fold with several processes, each with its share of the keys. Rows are independent of each other,
so the processes never wait for one another."""

import multiprocessing
import os
import time
from collections.abc import Callable
from math import inf

from django.db import connections

from eventstore.subscriptions import Projection

from . import records, shadow_table
from .fold import Checkpoint, Fold, RebuildFailed, Share
from .records import Rebuilding, Stopped

POLL_SECONDS = 0.5

FORK = multiprocessing.get_context("fork")


class ShareLost(Exception):
    """A process died without an error. What it committed stays, and the rebuild can be resumed."""


def fold_share(
    rebuild: Rebuilding,
    projection: Projection,
    number: int,
    *,
    seconds: float = inf,
    on_checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Fold one share, in this process. Raises RebuildFailed, Stopped."""
    parent = os.getppid()

    def save_progress(checkpoint: Checkpoint) -> None:
        if os.getppid() != parent:
            raise Stopped("The parent process has ended.")
        records.advance(rebuild, [number], checkpoint)

    Fold(
        rebuild.subscription,
        projection,
        shadow_table.shadow_name(shadow_table.table_of(projection)),
        after=records.positions(rebuild.id)[number],
        until=rebuild.head,
        share=Share(number, rebuild.shares),
        save_progress=save_progress,
        on_checkpoint=on_checkpoint,
    ).run(seconds=seconds)


def fold_shares(rebuild: Rebuilding, projection: Projection, on_poll: Callable[[], None]) -> None:
    """Fold each share in a process of its own. on_poll: called twice a second meanwhile.

    Raises RebuildFailed, Stopped, ShareLost.
    """
    connections.close_all()  # two processes must not use one connection
    processes = [
        FORK.Process(target=_run, args=(rebuild, projection, number))
        for number in range(rebuild.shares)
    ]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            time.sleep(POLL_SECONDS)
            on_poll()
            if any(process.exitcode for process in processes):
                break
    finally:
        for process in processes:
            process.terminate()
            process.join()
    now = records.get(rebuild.id)
    if now.state == "failed":
        raise RebuildFailed(now.error)
    if not now.is_open:
        raise Stopped(f"The rebuild of {now.subscription} was cancelled.")
    if now.position < now.head:
        raise ShareLost(
            f"A process of the rebuild of {now.subscription} died. Run the command again to"
            " continue."
        )


def _run(rebuild: Rebuilding, projection: Projection, number: int) -> None:
    try:
        fold_share(rebuild, projection, number)
    except RebuildFailed as error:
        records.become(rebuild.id, "failed", error=str(error))
        raise SystemExit(1) from None
    except (Stopped, KeyboardInterrupt):
        raise SystemExit(1) from None
