"""What the carrier tells of its parcels, signed as Standard Webhooks has it
(standardwebhooks.com)."""

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
    """type: parcel.shipped, parcel.delivered, parcel.lost or parcel.returned; others are taken note
    of."""

    type: str
    data: Parcel


class CarrierWebhookView(WebhookView):
    """What is told of an order is recorded, whatever we believe of its parcel; of no order of ours
    it is logged.

    customer_of: whose order it is, None for nobody's; given where the URLs are put together.
    """

    source, notice = "carrier", Notice
    signed_by = {
        "webhook-id": "The same for every try.",
        "webhook-timestamp": "When this try was sent, in seconds since 1970.",
        "webhook-signature": "Signatures by the secrets that may be known: v1,… v1,…",
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
        return headers["webhook-id"], self._follows(notice.type, notice.data.order_id)

    def _follows(self, type_: str, order_id: str) -> Sequence[Command]:
        assert self.customer_of is not None, "say as_view(customer_of=...)"
        known = log.STREAM_NAME.fullmatch(
            stream_name(SHIPMENT.category, order_id)
        ) and self.customer_of(order_id)
        if type_ not in RECORD or not known:
            logger.warning(
                "the carrier tells %.100r of %.100r, which is not for us", type_, order_id
            )
            return []
        return [RECORD[type_](order_id)]


RECORD: Mapping[str, type[Command]] = {
    "parcel.shipped": RecordShipped,
    "parcel.delivered": RecordDelivered,
    "parcel.lost": RecordLost,
    "parcel.returned": RecordReturned,
}
