"""Commands of operations: receive stock, adjust stock."""

import re
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from access.authorization import Operations
from eventstore.api.bulk import BulkView
from eventstore.api.commands import CommandView, known
from eventstore.api.serializers import (
    LARGEST_NUMBER,
    LINES,
    Key,
    StrictSerializer,
    Text,
    Whole,
)
from inventory.commands import AdjustStock, ReceiveStock
from inventory.stock import STOCK


def _not_zero(quantity: int) -> None:
    if quantity == 0:
        raise serializers.ValidationError("0 changes nothing.", "zero")


class ReceiveStockShape(StrictSerializer):
    """reference: of the delivery, for example the number of its delivery note. It is stored with
    the event and has no effect."""

    quantity = Whole(min_value=1)
    reference = Text(allow_blank=True, default="")


class ReceiveStockLineShape(ReceiveStockShape):
    """One line of a bulk request."""

    sku = Key()


def stock_from_texts(row: Mapping[str, str]) -> dict[str, Any]:
    """A quantity that is not a whole number stays a text: the shape refuses it."""
    quantity = row.get("quantity", "")
    is_whole = re.fullmatch("[0-9]{1,12}", quantity)
    return {**row, **({"quantity": int(quantity)} if is_whole else {})}


class AdjustStockShape(StrictSerializer):
    """quantity: units to add; below 0 to take away."""

    quantity = Whole(min_value=-LARGEST_NUMBER, validators=[_not_zero])
    reason = Text(rule=LINES)


class ReceiveStockView(CommandView):
    """Add units of a SKU that were delivered."""

    permission_classes = [Operations]
    serializer_class = ReceiveStockShape
    id_field, query_url = "sku", "/api/queries/stock/"

    def command(self, sku: str, quantity: int, reference: str) -> ReceiveStock:
        return ReceiveStock(sku, quantity, reference)


class ReceiveStocksView(BulkView):
    """Add units of many SKUs that were delivered: one on each line of NDJSON, or of CSV with the
    columns sku, quantity and reference. Send an Idempotency-Key: a repeat without one adds them
    again."""

    permission_classes = [Operations]
    serializer_class = ReceiveStockLineShape
    id_field, query_url = "sku", "/api/queries/stock/"
    example = "sku,quantity,reference\nCUP,40,delivery note 17\n"
    from_texts = staticmethod(stock_from_texts)

    def command(self, sku: str, quantity: int, reference: str) -> ReceiveStock:
        return ReceiveStock(sku, quantity, reference)


class AdjustStockView(CommandView):
    """Correct the number of units of a SKU, for example after a count."""

    permission_classes = [Operations]
    serializer_class = AdjustStockShape
    id_field, query_url = "sku", "/api/queries/stock/"

    def command(self, sku: str, quantity: int, reason: str) -> AdjustStock:
        known(STOCK.category, sku)
        return AdjustStock(sku, quantity, reason)
