"""The payment gateway: a port, the effect that calls it, and the providers behind it."""

from payments.gateway.factory import gateway as gateway

from .effect import GATEWAY as GATEWAY
