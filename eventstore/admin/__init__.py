"""A window on the machinery: it shows and does not change. One module for each subject."""

from . import events, outbox, parked, sagas, streams, subscriptions  # noqa: F401  each registers itself
