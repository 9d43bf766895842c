"""What the carrier tells of its parcels, signed as Standard Webhooks has it (standardwebhooks.com)."""

from collections.abc import Mapping, Sequence

import msgspec
from django.conf import settings
from standardwebhooks import Webhook, WebhookVerificationError

from eventstore.api.faults import Fault, Malformed
from eventstore.api.webhooks import Forged, WebhookView
from eventstore.messages import Command
from shipping.commands import DeliverShipment, ShipShipment


class Parcel(msgspec.Struct):
    order_id: str


class Notice(msgspec.Struct):
    """type: parcel.shipped or parcel.delivered; others are taken note of."""

    type: str
    data: Parcel


class CarrierWebhookView(WebhookView):
    source, notice = "carrier", Notice
    signed_by = {
        "webhook-id": "The same for every try.",
        "webhook-timestamp": "When this try was sent, in seconds since 1970.",
        "webhook-signature": "Signatures by the secrets that may be known: v1,… v1,…",
    }

    def secrets(self) -> Sequence[str]:
        return list(settings.CARRIER_WEBHOOK_SECRETS)

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str) -> None:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            raise Forged from None

    def read(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, Sequence[Command]]:
        try:
            notice = msgspec.json.decode(body, type=Notice)
        except (msgspec.MsgspecError, ValueError) as error:
            raise Malformed(Fault("#", str(error), "invalid")) from None
        return headers["webhook-id"], _follows(notice.type, notice.data.order_id)


def _follows(type_: str, order_id: str) -> Sequence[Command]:
    match type_:
        case "parcel.shipped":
            return [ShipShipment(order_id)]
        case "parcel.delivered":
            # Word of its leaving may come later, or never.
            return [ShipShipment(order_id), DeliverShipment(order_id)]
    return []
