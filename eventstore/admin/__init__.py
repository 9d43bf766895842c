"""A window on the machinery, and the few things that people do by hand. One module for each subject."""

from . import audit, events, outbox, parked, projections, sagas, streams, subscriptions  # noqa: F401  each registers itself
