"""Imported by Django's autodiscovery; each of these modules registers its pages."""

from .pages import (  # noqa: F401
    events,
    operator_actions,
    outbox,
    parked,
    projections,
    sagas,
    streams,
    subscriptions,
    webhooks,
)
