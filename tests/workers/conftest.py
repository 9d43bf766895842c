"""Real workers, each test's own, and a shop that is reached over HTTP."""

from uuid import uuid4

import pytest

from tests.journeys.conftest import Shop

from .worker import Worker


@pytest.fixture
def workers(transactional_db, tmp_path):
    """workers(...) starts one more; all are killed when the test is over, before its tables are
    emptied."""
    started = []

    def start(**options):
        folder = tmp_path / uuid4().hex
        folder.mkdir()
        started.append(Worker(folder, **options).start())
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def shop(workers):
    return Shop()
