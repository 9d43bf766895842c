"""Orders, what is beside them, and the catalogue: to look at, and for support to act on an order."""

from . import lists, order  # noqa: F401  each registers itself
