"""What operators do with endpoints of webhooks; each action goes into the audit log."""

from collections.abc import Callable
from uuid import UUID, uuid4

from eventstore.log import audit
from eventstore.postgres import atomic
from eventstore.webhooks import deliveries, endpoints
from eventstore.webhooks.endpoints import Form


class NoSuchAccount(LookupError):
    """No active account has this name."""


def subject(endpoint: UUID) -> str:
    """In the audit log."""
    return f"webhook endpoint {endpoint}"


def register(account: str, form: Form, *, is_for_all: bool, who: str, reason: str) -> UUID:
    """For the account of that name. Raises NoSuchAccount, AddressRefused, UnknownTypes,
    TooManyEndpoints, audit.ReasonMissing."""
    reason, wired = audit.require_reason(reason), endpoints.wired()
    owner = wired.account_called(account) if wired else None
    if owner is None:
        raise NoSuchAccount(f"No active account has the name {account!r}.")
    endpoints.check(form)
    id_ = uuid4()
    with atomic():
        endpoints.register(id_, owner, form, is_for_all=is_for_all)
        details = {"url": form.url, "types": list(form.types), "account": account}
        audit.record(who, "register", subject(id_), reason=reason, details=details)
    return id_


def disable(endpoint: UUID, *, who: str, reason: str) -> None:
    """Raises NoSuchEndpoint, audit.ReasonMissing."""
    _act(
        endpoint,
        "disable",
        lambda: endpoints.disable(endpoint, endpoints.BY_OPERATOR),
        who=who,
        reason=reason,
    )


def enable(endpoint: UUID, *, who: str, reason: str) -> None:
    """Raises as disable does."""
    _act(endpoint, "enable", lambda: endpoints.enable(endpoint), who=who, reason=reason)


def delete(endpoint: UUID, *, who: str, reason: str) -> None:
    """Raises as disable does."""
    _act(endpoint, "delete", lambda: endpoints.delete(endpoint), who=who, reason=reason)


def rotate(endpoint: UUID, *, who: str, reason: str) -> None:
    """Raises as disable does."""
    _act(endpoint, "rotate", lambda: endpoints.rotate(endpoint), who=who, reason=reason)


def send_again(endpoint: UUID, delivery: int, *, who: str, reason: str) -> None:
    """Raises NoSuchDelivery, EndpointDisabled, QueueFull, audit.ReasonMissing."""
    _act(
        endpoint,
        "send again",
        lambda: deliveries.send_again(endpoint, delivery),
        who=who,
        reason=reason,
        delivery=delivery,
    )


def _act(
    endpoint: UUID,
    action: str,
    do: Callable[[], object],
    *,
    who: str,
    reason: str,
    **details: object,
) -> None:
    reason = audit.require_reason(reason)
    with atomic():
        do()
        audit.record(who, action, subject(endpoint), reason=reason, details=details)
