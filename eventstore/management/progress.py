"""The progress bar of commands that read much, on a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def bar(label: str, unit: str) -> Iterator[Callable[..., None]]:
    """update(completed=, total=, rate=) moves it. It is gone when the block ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]:,.0f} " + unit + "/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(), transient=True) as progress:
        task = progress.add_task(label, total=None, rate=0.0)

        def update(**fields: Any) -> None:
            progress.update(task, **fields)

        yield update


@contextmanager
def counting(label: str, unit: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """report(done, total) moves a bar whose rate is measured. shown: else nothing is written."""
    if not shown:
        yield lambda done, total: None
        return
    began = time.monotonic()
    with bar(label, unit) as update:
        yield lambda done, total: update(
            completed=done, total=total, rate=done / max(time.monotonic() - began, 0.001)
        )
