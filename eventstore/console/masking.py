"""Masking of personal data: a request sees it only after its page was revealed with a reason."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from django.db.models import Model
from django.http import HttpRequest

from eventstore import codec, registry
from eventstore.models import Event, OutboxMessage, Parked, SagaState
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
    if not is_unmasked(request):
        for each in found:
            _mask(each)
        _mask_errors([each for each in found if isinstance(each, Parked)])
    return found


def struct(request: HttpRequest, struct: msgspec.Struct) -> Any:
    """A message or a state as JSON types."""
    return msgspec.to_builtins(struct) if is_unmasked(request) else personal_data.of_struct(struct)


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


def _mask(row: Model) -> None:
    # A list defers long columns; reading one here would query each row.
    loaded = row.__dict__
    match row:
        case Event():
            _set(row, "data", personal_data.of_message(row.type, loaded.get("data")))
            _set(row, "metadata", personal_data.of_metadata(loaded.get("metadata")))
        case OutboxMessage():
            _set(row, "payload", personal_data.of_message(row.type, loaded.get("payload")))
            _set(row, "metadata", personal_data.of_metadata(loaded.get("metadata")))
        case SagaState():
            _set(row, "state", personal_data.of_saga(row.saga, loaded.get("state")))
        case _:
            for name in registry.personal().get(type(row), ()):
                _set(row, name, personal_data.hide(loaded.get(name)))


def _mask_errors(parked: Sequence[Parked]) -> None:
    loaded = [each for each in parked if "error" in each.__dict__]
    if not loaded:
        return
    troubles = [
        personal_data.Trouble(each.position, each.error, each.__dict__.get("traceback", ""))
        for each in loaded
    ]
    for each, trouble in zip(loaded, personal_data.of_troubles(troubles), strict=True):
        _set(each, "error", trouble.error)
        _set(each, "traceback", trouble.traceback)


def _set(row: Model, name: str, value: Any) -> None:
    if name in row.__dict__:
        setattr(row, name, value)
