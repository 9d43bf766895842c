"""Stock levels in the admin, read-only."""

from django.contrib import admin

from eventstore.console.read_models import WHERE_IT_STANDS, ReadModelAdmin

from .models import StockLevel


@admin.register(StockLevel)
class StockLevelAdmin(ReadModelAdmin):
    list_display = ("sku", "received", "adjusted", "reserved", "returned", "available")
    ordering = ("sku",)
    search_help_text = "The whole SKU of a product."
    fields = ("sku", "received", "adjusted", "reserved", "returned", "available", *WHERE_IT_STANDS)
