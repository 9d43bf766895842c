"""What the read model of stock can be asked."""

from .models import StockLevel


def get_stock_level(sku: str) -> StockLevel | None:
    return StockLevel.objects.filter(sku=sku).first()
