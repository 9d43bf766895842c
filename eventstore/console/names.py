"""Names of streams and of sagas."""

from eventstore import registry
from eventstore.subscriptions import Saga


def category_of(stream: str) -> str:
    return stream.partition("-")[0]


def identity_of(stream: str) -> str:
    return stream.partition("-")[2]


def saga_names() -> list[str]:
    """Those of the wiring."""
    return [*registry.of_kind(Saga)]
