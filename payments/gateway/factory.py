"""Build the gateway that the setting PAYMENT_GATEWAY names."""

from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from payments.gateway.port import Gateway
from payments.gateway.sandbox import SandboxGateway


@cache
def gateway() -> Gateway:
    match settings.PAYMENT_GATEWAY:
        case "sandbox":
            return SandboxGateway()
        case "stripe":
            # A large library: imported only where it is used.
            from payments.gateway.stripe import StripeGateway

            if not settings.STRIPE_SECRET_KEY:
                raise ImproperlyConfigured(
                    "PAYMENT_GATEWAY is 'stripe', but STRIPE_SECRET_KEY is not set."
                )
            return StripeGateway(
                secret_key=settings.STRIPE_SECRET_KEY,
                base_url=settings.STRIPE_BASE_URL,
                seconds=settings.STRIPE_TIMEOUT_SECONDS,
            )
    raise ImproperlyConfigured(
        f"PAYMENT_GATEWAY is {settings.PAYMENT_GATEWAY!r}; it must be 'sandbox' or 'stripe'."
    )
