"""The figures of `make house`, on a package of three modules."""

import ast
from pathlib import Path

import pytest

from tools import house

MODULES = {
    "shop": "",
    "shop.till": """
from shop.goods import price
SELL = "UPDATE orders_sale SET sold = true"
REFUND = "DELETE FROM orders_sale"
def _taken(): return price() + price()
def _given(): return _taken() - _taken()
def sell(): return _given()
""",
    "shop.goods": """
def price():
    from . import till
    return till.SELL
""",
    "shop.audit": """
LOOK = "SELECT * FROM orders_sale"
CORRECT = f"UPDATE orders_sale SET {'sold'} = false"
name = "UPDATE orders_sale"
""",
}


@pytest.fixture
def trees():
    return {
        name: (
            Path("shop/__init__.py" if name == "shop" else f"{name.replace('.', '/')}.py"),
            ast.parse(text),
        )
        for name, text in MODULES.items()
    }


def test_a_circle_counts_by_imports_within_functions_too(trees):
    assert house._circles(house._imports(trees)) == [{"shop.goods", "shop.till"}]


def test_a_private_function_that_is_called_once_counts(trees):
    assert house._one_caller_share(trees) == 0.5


def test_who_writes_to_a_table_most_owns_it_and_who_only_reads_is_free_to(trees):
    assert house._outside_owner(trees) == ["shop.audit.CORRECT (orders_sale)"]


def test_no_module_of_ours_imports_one_that_imports_it():
    assert house._circles(house._imports(house._trees())) == []
