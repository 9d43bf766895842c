"""What a request sees of personal data: nothing, unless its page was asked for with a reason."""

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
    """For this answer; the next one is veiled again."""
    request.is_revealed = True  # type: ignore[attr-defined]


def is_unmasked(request: HttpRequest) -> bool:
    return getattr(request, "is_revealed", False)


def rows(request: HttpRequest, found: Sequence[Row]) -> Sequence[Row]:
    """The same rows, which nobody saves; at most one query for all of them."""
    if not is_unmasked(request):
        for each in found:
            _mask(each)
        _mask_troubles([each for each in found if isinstance(each, Parked)])
    return found


def struct(request: HttpRequest, struct: msgspec.Struct) -> Any:
    """A message or a state as JSON has it."""
    return msgspec.to_builtins(struct) if is_unmasked(request) else personal_data.of_struct(struct)


def column(request: HttpRequest, model: type[Model], name: str, value: Any) -> Any:
    """A value of a read model; of all columns where none is named."""
    return value if is_unmasked(request) else personal_data.of_column(model, name, value)


def rebuilds(request: HttpRequest, found: Sequence[Rebuilding]) -> list[Rebuilding]:
    if is_unmasked(request):
        return list(found)
    return [
        each._replace(error=personal_data.of_rebuild(each.error)) if each.error else each
        for each in found
    ]


def trouble(request: HttpRequest, error: Exception) -> str:
    """What could not be decoded may be quoted in the error."""
    if isinstance(error, codec.Undecodable) and not is_unmasked(request):
        return (
            "What is stored does not fit today's class. Its values may be personal: the reason is"
            " told to whom reveals."
        )
    return str(error)


def _mask(row: Model) -> None:
    # What was deferred is not there to be shown.
    there = row.__dict__
    match row:
        case Event():
            _set(row, "data", personal_data.of_message(row.type, there.get("data")))
            _set(row, "metadata", personal_data.of_metadata(there.get("metadata")))
        case OutboxMessage():
            _set(row, "payload", personal_data.of_message(row.type, there.get("payload")))
            _set(row, "metadata", personal_data.of_metadata(there.get("metadata")))
        case SagaState():
            _set(row, "state", personal_data.of_saga(row.saga, there.get("state")))
        case _:
            for name in registry.personal().get(type(row), ()):
                _set(row, name, personal_data.hide(there.get(name)))


def _set(row: Model, name: str, value: Any) -> None:
    if name in row.__dict__:
        setattr(row, name, value)


def _mask_troubles(parked: Sequence[Parked]) -> None:
    told = [each for each in parked if "error" in each.__dict__]
    troubles = [
        personal_data.Trouble(each.position, each.error, each.__dict__.get("traceback", ""))
        for each in told
    ]
    for each, trouble in zip(
        told, personal_data.of_troubles(troubles) if troubles else (), strict=True
    ):
        _set(each, "error", trouble.error)
        _set(each, "traceback", trouble.traceback)
