"""The URLs for webhooks of providers, who sign them."""

from django.urls import path

from orders.queries import get_customer_of
from payments.api.webhooks import StripeWebhookView
from shipping.api.webhooks import CarrierWebhookView

urlpatterns = [
    path("payments/stripe/", StripeWebhookView.as_view()),
    path("shipping/", CarrierWebhookView.as_view(customer_of=get_customer_of)),
]
