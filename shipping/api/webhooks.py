"""Webhooks of the carrier, signed by Standard Webhooks (standardwebhooks.com)."""

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec
from django.conf import settings
from standardwebhooks import Webhook, WebhookVerificationError

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.api.errors import HEADER, Fault, Malformed
from eventstore.api.webhooks import Forged, WebhookView
from eventstore.messages import Command
from shipping.commands import RecordDelivered, RecordLost, RecordReturned, RecordShipped
from shipping.shipment import SHIPMENT

logger = logging.getLogger(__name__)


class Parcel(msgspec.Struct):
    order_id: str


class Kind(msgspec.Struct):
    """What every notice has."""

    type: str


class Notice(Kind):
    """type: parcel.shipped, parcel.delivered, parcel.lost or parcel.returned. A notice of another
    type is logged, whatever its data are."""

    data: Parcel


class CarrierWebhookView(WebhookView):
    """A notice of the carrier about a parcel. It is recorded in any status of the parcel. One about
    an unknown order is logged and ignored."""

    source, notice = "carrier", Notice
    signed_by = {
        "webhook-id": "The same for every try.",
        "webhook-timestamp": "When this try was sent, in seconds since 1970.",
        "webhook-signature": "One signature for each valid secret: v1,… v1,…",
    }

    # Order id -> customer id, None if there is no such order; set in the URL configuration.
    customer_of: Callable[[str], str | None] | None = None

    def secrets(self) -> Sequence[str]:
        return list(settings.CARRIER_WEBHOOK_SECRETS)

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str) -> None:
        if headers.get("webhook-id") == "":
            raise Malformed(Fault("webhook-id", "The id is empty.", "blank", HEADER))
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            raise Forged from None

    def read(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, Sequence[Command]]:
        id_, type_ = headers["webhook-id"], self.decode(body, Kind).type
        if type_ not in RECORD:
            logger.warning("webhook of carrier ignored: %.100r", type_)
            return id_, []
        order_id = self.decode(body).data.order_id
        assert self.customer_of is not None, "call as_view(customer_of=...)"
        known = log.STREAM_NAME.fullmatch(
            stream_name(SHIPMENT.category, order_id)
        ) and self.customer_of(order_id)
        if not known:
            logger.warning("webhook of carrier ignored: %.100r of order %.100r", type_, order_id)
            return id_, []
        return id_, [RECORD[type_](order_id)]


RECORD: Mapping[str, type[Command]] = {
    "parcel.shipped": RecordShipped,
    "parcel.delivered": RecordDelivered,
    "parcel.lost": RecordLost,
    "parcel.returned": RecordReturned,
}
