"""Stock levels, for staff."""

from rest_framework import serializers

from eventstore.api.queries import RowView
from eventstore.api.roles import Staff
from eventstore.api.shapes import Answer
from inventory import queries
from inventory.models import StockLevel


class StockLevelAnswer(Answer):
    sku = serializers.CharField()
    received = serializers.IntegerField()
    adjusted = serializers.IntegerField()
    reserved = serializers.IntegerField()
    available = serializers.IntegerField()


class StockLevelView(RowView):
    permission_classes = [Staff]
    serializer_class = StockLevelAnswer

    def row(self, sku: str) -> StockLevel | None:
        return queries.get_stock_level(sku)
