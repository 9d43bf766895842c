"""Ours: one row of everything that the console shows, for bench.fill to multiply.

usage: python -m bench.one bench.one_of_each   (DATABASE_URL: a copy of bench.template's)
"""

import json
from datetime import UTC, datetime
from uuid import uuid4

import django

from eventstore.commands import bus
from eventstore.log import audit
from eventstore.projections import rebuild
from eventstore.testing import drain
from orders.commands import IssueCredit, Item, PlaceOrder, RequestReturn
from orders.events import OrderLine, Portion

from . import basket
from .orders import ADDRESS


def main() -> None:
    django.setup()
    order_id, now, sku = str(uuid4()), datetime.now(UTC), basket.PRODUCTS[0]
    bus.dispatch(PlaceOrder(order_id, "customer-1", (Item(sku, 2),), ADDRESS, "tok_visa", now))
    drain()
    bus.dispatch(RequestReturn(str(uuid4()), order_id, (Portion(1, 1),), (), "too small", now))
    line = OrderLine(sku, f"Product {sku}", 1, 450)
    bus.dispatch(IssueCredit(str(uuid4()), "customer-1", (line,), (), "USD", 2, "C1", now))
    drain()
    audit.record("grace", "retry", "payments.gateway", reason="it was time")
    rebuild.rebuild("orders.catalogue", who="grace")
    print(json.dumps({"order": order_id}))
