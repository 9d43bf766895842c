"""The payment gateway: a port, the effect that asks it, and who stands behind it
(PAYMENT_GATEWAY)."""

from payments.gateway.factory import gateway as gateway

from .effect import GATEWAY as GATEWAY
