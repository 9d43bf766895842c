"""The URLs of the query side."""

from django.urls import path

from access.authorization import is_operations, is_staff
from eventstore.api import webhook_queries as webhooks
from eventstore.api.deferred import DeferredCommandView
from inventory.api.queries import StockLevelsView, StockLevelView
from orders.api.history import OrderHistoryView, OrderProgressView
from orders.api.queries import OrdersView, OrderView, ProductDetailsView, ProductsView
from orders.api.return_queries import BookingsView, ReturnsView, ReturnView
from orders.queries import get_customer_of
from payments.api.queries import PaymentDetailsView, PaymentsView
from shipping.api.queries import ShipmentDetailsView, ShipmentsView

urlpatterns = [
    path("commands/<uuid:command_id>/", DeferredCommandView.as_view(sees_all=is_staff)),
    path("orders/", OrdersView.as_view()),
    path("orders/<key:order_id>/", OrderView.as_view()),
    path("orders/<key:order_id>/history/", OrderHistoryView.as_view()),
    path("orders/<key:order_id>/progress/", OrderProgressView.as_view()),
    path("returns/", ReturnsView.as_view()),
    path("returns/<key:return_id>/", ReturnView.as_view()),
    path("bookings/", BookingsView.as_view()),
    path("products/", ProductsView.as_view()),
    path("products/<key:sku>/", ProductDetailsView.as_view()),
    path("stock/", StockLevelsView.as_view()),
    path("stock/<key:sku>/", StockLevelView.as_view()),
    path("payments/", PaymentsView.as_view()),
    path("payments/<key:order_id>/", PaymentDetailsView.as_view(customer_of=get_customer_of)),
    path("shipments/", ShipmentsView.as_view()),
    path("shipments/<key:order_id>/", ShipmentDetailsView.as_view(customer_of=get_customer_of)),
    path("webhooks/", webhooks.WebhookEndpointsView.as_view(sees_all=is_operations)),
    path(
        "webhooks/<uuid:endpoint_id>/",
        webhooks.WebhookEndpointView.as_view(sees_all=is_operations),
    ),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/",
        webhooks.WebhookDeliveriesView.as_view(sees_all=is_operations),
    ),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/<int:delivery_id>/",
        webhooks.WebhookDeliveryView.as_view(sees_all=is_operations),
    ),
]
