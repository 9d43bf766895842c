"""Webhooks of the carrier, signed by Standard Webhooks (standardwebhooks.com)."""

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec
from django.conf import settings
from standardwebhooks import Webhook, WebhookVerificationError

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.api.webhooks import Forged, WebhookView
from eventstore.messages import Command
from shipping.commands import RecordDelivered, RecordLost, RecordReturned, RecordShipped
from shipping.shipment import SHIPMENT

logger = logging.getLogger(__name__)


class Parcel(msgspec.Struct):
    order_id: str


class Notice(msgspec.Struct):
    """type: parcel.shipped, parcel.delivered, parcel.lost or parcel.returned; others are logged."""

    type: str
    data: Parcel


class CarrierWebhookView(WebhookView):
    """A notice about an order is recorded in any status of its parcel. One about no order of ours
    is logged and ignored.

    customer_of: order id -> customer id, None if there is no such order; set in the URL
    configuration.
    """

    source, notice = "carrier", Notice
    signed_by = {
        "webhook-id": "The same for every try.",
        "webhook-timestamp": "When this try was sent, in seconds since 1970.",
        "webhook-signature": "One signature for each valid secret: v1,… v1,…",
    }

    customer_of: Callable[[str], str | None] | None = None

    def secrets(self) -> Sequence[str]:
        return list(settings.CARRIER_WEBHOOK_SECRETS)

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str) -> None:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            raise Forged from None

    def read(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, Sequence[Command]]:
        notice = self.decode(body)
        id_, type_, order_id = headers["webhook-id"], notice.type, notice.data.order_id
        assert self.customer_of is not None, "call as_view(customer_of=...)"
        known = log.STREAM_NAME.fullmatch(
            stream_name(SHIPMENT.category, order_id)
        ) and self.customer_of(order_id)
        if type_ not in RECORD or not known:
            logger.warning("webhook of carrier ignored: %.100r of order %.100r", type_, order_id)
            return id_, []
        return id_, [RECORD[type_](order_id)]


RECORD: Mapping[str, type[Command]] = {
    "parcel.shipped": RecordShipped,
    "parcel.delivered": RecordDelivered,
    "parcel.lost": RecordLost,
    "parcel.returned": RecordReturned,
}
