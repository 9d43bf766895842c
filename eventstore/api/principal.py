"""Under which name a client's requests are kept."""

from typing import Any


def principal(user: Any) -> str:
    """An id that is never given to another account. The project's authentication sets
    `user.principal`; without it, this is the account's primary key."""
    return getattr(user, "principal", "") or str(user.pk)
