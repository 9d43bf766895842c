"""Ours: import a shop's past invoices through the real path, until the last order is confirmed.

usage: python -m bench.one bench.importing LINES [WORKER_PROCESSES] (DATABASE_URL: a copy of
bench.template's)

LINES: lines from the beginning of the file; 0: all. The file is in the folder ORDERS_DATA, else the
small one of the tests.
"""

import gzip
import json
import os
import tempfile
import time
from io import StringIO
from itertools import islice
from pathlib import Path

import django
from django.core.management import call_command

from config.celery import app
from eventstore.postgres import rows

from .workers import worker

SMALL = Path(__file__).parents[1] / "tests/data/online_retail"
CONFIRMED = "SELECT count(*) FROM eventstore_event WHERE type = 'orders.order_confirmed'"


def main(lines: int, processes: int = 1) -> None:
    django.setup()
    with tempfile.TemporaryDirectory() as folder, worker(app, "config", processes):
        file = _part(lines, Path(folder))
        start = time.perf_counter()
        options = ["--opening-stock", "computed", "--dates", "M/D/Y"]
        call_command("import_orders", str(file), *options, stdout=StringIO())
        seconds = time.perf_counter() - start
    orders = int(rows(CONFIRMED)[0][0])
    print(
        json.dumps({"import_orders_per_s": orders / seconds, "orders": orders, "seconds": seconds})
    )


def _part(lines: int, folder: Path) -> Path:
    """The beginning of the file, without the totals of the whole file."""
    given = (
        Path(os.environ["ORDERS_DATA"], "online_retail") if os.environ.get("ORDERS_DATA") else SMALL
    )
    source, part = next(given.glob("online-retail-dataset.csv*")), folder / "part.csv"
    with (
        gzip.open(source, "rb") if source.suffix == ".gz" else source.open("rb") as whole,
        part.open("wb") as file,
    ):
        file.writelines(islice(whole, lines + 1 if lines else None))
    return part
