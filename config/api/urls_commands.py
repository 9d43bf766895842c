"""The URLs of the command side."""

from django.urls import path

from access.authorization import is_operations
from eventstore.api import webhook_commands as webhooks
from inventory.api.commands import AdjustStockView, ReceiveStocksView, ReceiveStockView
from orders.api.commands import (
    CancelOrderView,
    DelistProductView,
    ListProductsView,
    ListProductView,
    PlaceOrderView,
    RefundOrderView,
    RepriceProductView,
    is_called_off,
)
from orders.api.return_commands import CloseReturnView, ReceiveReturnView, RequestReturnView
from payments.api.given_back import is_given_back
from shipping.api.commands import DeliverShipmentView, ShipShipmentView


def stays_here(order_id: str) -> bool:
    """Whether a parcel must not be handed over. The shipping context knows neither orders nor
    payments, so it asks here."""
    return is_called_off(order_id) or is_given_back(order_id)


urlpatterns = [
    path("orders/", PlaceOrderView.as_view()),
    path("orders/<key:order_id>/cancel/", CancelOrderView.as_view()),
    path("orders/<key:order_id>/returns/", RequestReturnView.as_view()),
    path("returns/<key:return_id>/receive/", ReceiveReturnView.as_view()),
    path("returns/<key:return_id>/close/", CloseReturnView.as_view()),
    path("products/", ListProductView.as_view()),
    path("catalogue/", ListProductsView.as_view()),
    path("products/<key:sku>/reprice/", RepriceProductView.as_view()),
    path("products/<key:sku>/delist/", DelistProductView.as_view()),
    path("stock/", ReceiveStocksView.as_view()),
    path("stock/<key:sku>/receive/", ReceiveStockView.as_view()),
    path("stock/<key:sku>/adjust/", AdjustStockView.as_view()),
    path("payments/<key:order_id>/refund/", RefundOrderView.as_view()),
    path("shipments/<key:order_id>/ship/", ShipShipmentView.as_view(stays_here=stays_here)),
    path("shipments/<key:order_id>/deliver/", DeliverShipmentView.as_view()),
    path("webhooks/", webhooks.RegisterWebhookEndpointView.as_view(sees_all=is_operations)),
    path("webhooks/<uuid:endpoint_id>/change/", webhooks.ChangeWebhookEndpointView.as_view()),
    path("webhooks/<uuid:endpoint_id>/rotate-secret/", webhooks.RotateWebhookSecretView.as_view()),
    path("webhooks/<uuid:endpoint_id>/disable/", webhooks.DisableWebhookEndpointView.as_view()),
    path("webhooks/<uuid:endpoint_id>/enable/", webhooks.EnableWebhookEndpointView.as_view()),
    path("webhooks/<uuid:endpoint_id>/delete/", webhooks.DeleteWebhookEndpointView.as_view()),
    path(
        "webhooks/<uuid:endpoint_id>/send-failed-again/",
        webhooks.SendFailedWebhooksAgainView.as_view(),
    ),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/<int:delivery_id>/send-again/",
        webhooks.SendWebhookAgainView.as_view(),
    ),
]
