"""Owe integration events to the endpoints that get them, in the commit of the cursor."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from eventstore import settings
from eventstore.codec import encode_json
from eventstore.messages import Message
from eventstore.messaging import cloudevents
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.publisher import Translator
from eventstore.subscriptions import Webhooks

from . import deliveries, endpoints
from .deliveries import NewDelivery, Outgoing
from .endpoints import ALL_TYPES, Match


def has_nothing_to_do() -> bool:
    """Whether no endpoint would get anything, so that messages need not be read."""
    return not endpoints.any_enabled()


def deliver(webhooks: Webhooks, messages: Sequence[Message]) -> None:
    """Write what follows from the messages; in the transaction that moves the cursor."""
    envelopes: list[Envelope] = []
    for publication in webhooks.publications:
        concerned = [each for each in messages if type(each.body) in publication.publish]
        translator = Translator(publication)
        translator.begin(concerned)
        for message in concerned:
            envelopes += translator.envelopes(message)
    if not envelopes or has_nothing_to_do():
        return
    owners = webhooks.owners(envelopes)
    types = {each.type for each in envelopes}
    matches = endpoints.matching(set(owners.values()) - {""}, types)
    receivers = endpoints.receivers({each.owner for each in matches})
    # Without those of accounts that have lost the right since they registered.
    permitted = [
        each
        for each in matches
        if (found := receivers.get(each.owner)) and (found.sees_all or not each.is_for_all)
    ]
    outgoing = {
        each.id: Outgoing(
            each.id, each.type, each.subject, each.position, encode_json(payload(each)).decode()
        )
        for each in (envelopes if permitted else ())
    }
    new = list(_new_deliveries(permitted, envelopes, owners, outgoing))
    wanted = {each.message for each in new}
    deliveries.add([each for each in outgoing.values() if each.id in wanted], new)


def _new_deliveries(
    matches: Sequence[Match],
    envelopes: Sequence[Envelope],
    owners: Mapping[UUID, str],
    outgoing: Mapping[UUID, Outgoing],
) -> Iterator[NewDelivery]:
    for endpoint in matches:
        queued = endpoint.queued_bytes
        for envelope in envelopes:
            if not is_for(endpoint, envelope, owners.get(envelope.id, "")):
                continue
            size, error = outgoing[envelope.id].bytes, ""
            if size > settings.webhook_body_bytes():
                error = f"Not sent: {size} bytes. Maximum: {settings.webhook_body_bytes()}."
            elif queued and queued + size > settings.webhook_queue_bytes():
                # A body that is larger than the whole queue is sent when nothing else waits.
                error = f"Not sent: {queued} bytes wait for this endpoint already."
            else:
                queued += size
            yield NewDelivery(endpoint.id, envelope.id, envelope.subject, size, error)


def is_for(endpoint: Match, envelope: Envelope, owner: str) -> bool:
    """owner: of the event; "" if it belongs to no account."""
    return (
        envelope.position > endpoint.after
        and (envelope.type in endpoint.types or ALL_TYPES in endpoint.types)
        and (endpoint.is_for_all or owner == endpoint.owner != "")
    )


def payload(envelope: Envelope) -> dict[str, Any]:
    """The body of a webhook: type, timestamp and data as Standard Webhooks recommends. sequence:
    larger for each later event of the subject."""
    return {
        "id": str(envelope.id),
        "type": envelope.type,
        "timestamp": cloudevents.timestamp(envelope.time),
        "subject": cloudevents.aggregate_id(envelope.subject),
        "sequence": envelope.sequence,
        "data": msgspec.to_builtins(envelope.event),
    }
