"""manage.py import_catalogue FILE: offer many products, or set their names and prices."""

from eventstore.management.bulk import BulkCommand
from orders.api.commands import ListProductShape, product_from_texts
from orders.commands import ListProduct


class Command(BulkCommand):
    help = (
        "Offer the products of a file, or set the names and prices of those that are offered,"
        " all or none. Columns: sku, name, price, currency."
    )
    shape, make, unique = ListProductShape, ListProduct, "sku"
    from_texts = staticmethod(product_from_texts)
