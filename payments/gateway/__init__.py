"""The payment gateway: a port, the effect that asks it, and who stands behind it (PAYMENT_GATEWAY)."""

from .effect import GATEWAY as GATEWAY
from .effect import gateway as gateway
