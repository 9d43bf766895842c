"""Django's autodiscovery imports this module; each of these registers its pages."""

from . import (  # noqa: F401
    events,
    operator_actions,
    outbox,
    parked,
    projections,
    sagas,
    streams,
    subscriptions,
)
