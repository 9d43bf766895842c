"""Orders, what comes back of them, what is beside them, and the catalogue: to look at, and for
staff to act on."""

from . import lists, order, returns  # noqa: F401  each registers itself
