"""Commands of operations: receive stock, adjust stock."""

from access.authorization import Operations
from eventstore.api.commands import CommandView, known
from eventstore.api.serializers import LARGEST_NUMBER, StrictSerializer, Text, Whole
from inventory.commands import AdjustStock, ReceiveStock
from inventory.stock import STOCK


class ReceiveStockShape(StrictSerializer):
    quantity = Whole(min_value=1)
    reference = Text(allow_blank=True, default="")


class AdjustStockShape(StrictSerializer):
    """quantity: units to add; below 0 to take away."""

    quantity = Whole(min_value=-LARGEST_NUMBER)
    reason = Text()


class ReceiveStockView(CommandView):
    permission_classes = [Operations]
    serializer_class = ReceiveStockShape
    id_field, query_url = "sku", "/api/queries/stock/"

    def command(self, sku: str, quantity: int, reference: str) -> ReceiveStock:
        return ReceiveStock(sku, quantity, reference)


class AdjustStockView(CommandView):
    permission_classes = [Operations]
    serializer_class = AdjustStockShape
    id_field, query_url = "sku", "/api/queries/stock/"

    def command(self, sku: str, quantity: int, reason: str) -> AdjustStock:
        known(STOCK.category, sku)
        return AdjustStock(sku, quantity, reason)
