"""A shop with an empty log, and the importer as called from a shell."""

import shutil
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management import CommandError, call_command

from eventstore.outbox import cursors

SMALL = Path(__file__).parents[2] / "data" / "online_retail"
ORDERS = 13


class Run(NamedTuple):
    code: int
    out: str
    error: str


@pytest.fixture
def shop(transactional_db):
    cursors.ensure_cursors()


@pytest.fixture
def folder(tmp_path):
    """The small file, in a folder with its opening stock and its totals."""
    return Path(shutil.copytree(SMALL, tmp_path / "small"))


@pytest.fixture
def dataset(folder):
    return folder / "online-retail-dataset.csv"


@pytest.fixture
def import_orders(shop):
    def run(*arguments, dates="M/D/Y") -> Run:
        """dates: empty for a file that shows the form of its dates."""
        out = StringIO()
        options = ["--dates", dates] if dates else []
        try:
            call_command("import_orders", *map(str, arguments), *options, stdout=out)
        except CommandError as error:
            return Run(error.returncode, out.getvalue(), str(error))
        return Run(0, out.getvalue(), "")

    return run
