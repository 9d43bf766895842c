"""Masking of personal data: a request sees it only after its page was revealed with a reason."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from django.db.models import Model
from django.http import HttpRequest

from eventstore import codec, registry
from eventstore.messages import BrokerMessage
from eventstore.models import Event, OutboxMessage, Parked, SagaState
from eventstore.operations import broker_messages
from eventstore.privacy import personal_data
from eventstore.projections.rebuild import Rebuilding

REVEAL = "eventstore.reveal"

Row = TypeVar("Row", bound=Model)


def may_unmask(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(REVEAL))


def unmask(request: HttpRequest) -> None:
    """For this response only; the next request is masked again."""
    request.is_revealed = True  # type: ignore[attr-defined]


def is_unmasked(request: HttpRequest) -> bool:
    return getattr(request, "is_revealed", False)


def rows(request: HttpRequest, found: Sequence[Row]) -> Sequence[Row]:
    """Mask these rows in place, with at most one query for all; they must not be saved."""
    if is_unmasked(request):
        return found
    for each in found:
        # A list defers long columns; reading one here would query each row.
        loaded = each.__dict__
        match each:
            case Event():
                _set(each, "data", personal_data.of_message(each.type, loaded.get("data")))
                _set(each, "metadata", personal_data.of_metadata(loaded.get("metadata")))
            case OutboxMessage():
                _set(each, "payload", personal_data.of_message(each.type, loaded.get("payload")))
                _set(each, "metadata", personal_data.of_metadata(loaded.get("metadata")))
            case SagaState():
                _set(each, "state", personal_data.of_saga(each.saga, loaded.get("state")))
            case _:
                for name in registry.personal().get(type(each), ()):
                    _set(each, name, personal_data.hide(loaded.get(name)))
    parked = [each for each in found if isinstance(each, Parked) and "error" in each.__dict__]
    troubles = [
        personal_data.Trouble(each.position, each.error, each.__dict__.get("traceback", ""))
        for each in parked
    ]
    # Without parked rows, no query for the messages that their errors may quote.
    masked = personal_data.of_troubles(troubles) if troubles else []
    for row, trouble in zip(parked, masked, strict=True):
        _set(row, "error", trouble.error)
        _set(row, "traceback", trouble.traceback)
    return found


def struct(request: HttpRequest, struct: msgspec.Struct) -> Any:
    """A message or a state as JSON types."""
    return msgspec.to_builtins(struct) if is_unmasked(request) else personal_data.of_struct(struct)


def broker_message(request: HttpRequest, consumer: str, message: BrokerMessage) -> Any:
    """A message of a broker, for one consumer."""
    return broker_messages.readable(consumer, message, revealed=is_unmasked(request))


def column(request: HttpRequest, model: type[Model], name: str, value: Any) -> Any:
    """A value of a read model's column; without a name, of the whole row."""
    return value if is_unmasked(request) else personal_data.of_column(model, name, value)


def rebuilds(request: HttpRequest, found: Sequence[Rebuilding]) -> list[Rebuilding]:
    if is_unmasked(request):
        return list(found)
    return [
        each._replace(error=personal_data.of_rebuild(each.error)) if each.error else each
        for each in found
    ]


def error(request: HttpRequest, error: Exception) -> str:
    """The text of an error; that of a decoding error may quote personal data."""
    if isinstance(error, codec.Undecodable) and not is_unmasked(request):
        return (
            "The stored data does not match today's class. The error may quote personal data:"
            " reveal the page to see it."
        )
    return str(error)


def _set(row: Model, name: str, value: Any) -> None:
    if name in row.__dict__:
        setattr(row, name, value)
