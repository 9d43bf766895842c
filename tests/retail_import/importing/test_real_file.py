"""A real year of a shop, exact to the digit; takes minutes. Runs with IMPORT_TEST=1 if ORDERS_DATA
has the file."""

import os
from pathlib import Path

import pytest

from orders.models import OrderDetails

DATA = os.getenv("ORDERS_DATA", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not (DATA and os.getenv("IMPORT_TEST")), reason="needs ORDERS_DATA and IMPORT_TEST=1"
    ),
]


def test_the_whole_year_comes_out_to_the_digit(import_orders):
    run = import_orders(Path(DATA) / "online_retail" / "online-retail-dataset.csv.gz")

    assert run.code == 0, run.error
    assert "DIFFERS" not in run.out
    assert OrderDetails.objects.filter(status="CONFIRMED").count() == 19_963
    assert "10,655,622.484" in run.out
    assert "9,747,747.934" in run.out
    assert OrderDetails.objects.filter(return_status="RETURNED").count() == 127
