"""Each test begins in a log that has lost nothing."""

import pytest

from eventstore import epochs

from .losing import first_epoch


@pytest.fixture(autouse=True)
def whole(transactional_db):
    yield
    first_epoch()
    epochs.forget()
