"""Who takes the money: PAYMENT_GATEWAY says so."""

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
            return _stripe()
    raise ImproperlyConfigured("PAYMENT_GATEWAY is neither 'sandbox' nor 'stripe'.")


def _stripe() -> Gateway:
    # A large library, which nobody else should wait for.
    from payments.gateway.stripe import StripeGateway

    if not settings.STRIPE_SECRET_KEY:
        raise ImproperlyConfigured("PAYMENT_GATEWAY is 'stripe': STRIPE_SECRET_KEY is needed.")
    return StripeGateway(
        secret_key=settings.STRIPE_SECRET_KEY,
        base_url=settings.STRIPE_BASE_URL,
        seconds=settings.STRIPE_TIMEOUT_SECONDS,
    )
