"""Stock levels, for staff."""

from rest_framework import serializers

from eventstore.api.queries import RowView
from eventstore.api.roles import Staff
from eventstore.api.shapes import Answer
from inventory.models import StockLevel


class StockLevelAnswer(Answer):
    sku = serializers.CharField()
    received = serializers.IntegerField()
    adjusted = serializers.IntegerField()
    reserved = serializers.IntegerField()
    returned = serializers.IntegerField()
    available = serializers.IntegerField()


class StockLevelView(RowView):
    permission_classes = [Staff]
    serializer_class = StockLevelAnswer
    model = StockLevel
