"""The files of whole-file tests: the small one, and the real one if ORDERS_DATA has it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .given import RetailFiles

SMALL = Path(__file__).parents[2] / "data" / "online_retail"


def _folders() -> list[Path]:
    data = os.getenv("ORDERS_DATA")
    return [SMALL, Path(data) / "online_retail"] if data else [SMALL]


@pytest.fixture(params=_folders(), ids=["small", "real"][: len(_folders())])
def files(request: pytest.FixtureRequest) -> Iterator[RetailFiles]:
    with ExitStack() as stack:
        yield RetailFiles.of(request.param, stack)
