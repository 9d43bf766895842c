"""Many customers order one product at once: exactly the stock is sold, and no client has to
retry."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from inventory.models import StockLevel

pytestmark = [pytest.mark.worker, pytest.mark.slow]

BUYERS, UNITS, AT_ONCE = 60, 30, 12


def test_sixty_buyers_of_thirty_units_are_thirty_confirmed_orders(shop, django_db_blocker):
    shop.stocked(UNITS)

    def buy(_):
        # A version conflict would be a 409 here: place() accepts only 202.
        with django_db_blocker.unblock():
            try:
                return shop.place()
            finally:
                connection.close()

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        bought = list(crowd.map(buy, range(BUYERS)))
    ends = Counter(shop.comes_to_an_end(order_id)["status"] for order_id in bought)
    assert ends == {"CONFIRMED": UNITS, "CANCELLED": BUYERS - UNITS}
    level = StockLevel.objects.get(sku=shop.sku)
    assert (level.available, level.reserved) == (0, UNITS)
