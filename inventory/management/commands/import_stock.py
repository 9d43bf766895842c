"""manage.py import_stock FILE: receive units of many SKUs."""

from eventstore.management.bulk import BulkCommand
from inventory.api.commands import ReceiveStockLineShape, stock_from_texts
from inventory.commands import ReceiveStock


class Command(BulkCommand):
    help = (
        "Add the units of a file to the stock, all or none; a second run adds them again. Columns:"
        " sku, quantity, reference."
    )
    shape, make = ReceiveStockLineShape, ReceiveStock
    from_texts = staticmethod(stock_from_texts)
