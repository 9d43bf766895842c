"""Each test begins with a log that has lost nothing."""

import pytest

from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import ListProduct

from .losing import first_epoch


@pytest.fixture(autouse=True)
def whole(transactional_db):
    yield
    first_epoch()


@pytest.fixture
def cups(transactional_db):
    """A hundred cups, at 10 euros."""
    bus.dispatch(ListProduct("CUP", "A cup", Money(1000, "EUR")))
    bus.dispatch(ReceiveStock("CUP", 100))
    drain()
