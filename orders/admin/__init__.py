"""Orders, returns, bookings and the catalogue in the admin, with the actions of staff."""

from . import lists, order, returns  # noqa: F401  each registers itself
