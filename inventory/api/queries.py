"""Stock levels, for staff."""

from django.db.models import QuerySet
from rest_framework import serializers

from access.authorization import Staff
from eventstore.api.queries import PagesView, RowView
from eventstore.api.serializers import Answer
from inventory.models import StockLevel


class StockLevelAnswer(Answer):
    sku = serializers.CharField()
    received = serializers.IntegerField()
    adjusted = serializers.IntegerField()
    reserved = serializers.IntegerField()
    returned = serializers.IntegerField()
    available = serializers.IntegerField()


class StockLevelView(RowView):
    """The stock of one SKU. For staff."""

    permission_classes = [Staff]
    serializer_class = StockLevelAnswer
    model = StockLevel


class StockLevelsView(PagesView):
    """The stock of all SKUs, in the order of the SKU. For staff."""

    permission_classes = [Staff]
    serializer_class = StockLevelAnswer
    key = "sku"

    def rows(self) -> QuerySet[StockLevel]:
        return StockLevel.objects.all()
