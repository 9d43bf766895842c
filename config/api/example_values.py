"""The values in the API's examples: the life of one order of tea, and the possible problems."""

from collections.abc import Mapping
from typing import Any

# The example of a text without an entry here; a test finds it.
MISSING = "…"

ORDER = "0198c0de-0000-7000-8000-000000000001"
RETURN = "0198c0de-0000-7000-8000-000000000002"
CUSTOMER = "5b3c1d6e-4f0a-4b58-9a51-2f6f3f0c7d11"
TAG = "0198c0de-0000-7000-8000-000000000003"
ENDPOINT = "0198c0de-0000-7000-8000-000000000004"
HOOK = "https://partner.example/hooks"
REQUEST = "checkout-7f3a"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NOW = "2026-01-31T12:00:00.000001Z"
PRICE = {"amount": 890, "currency": "EUR", "exponent": 2}
# Two of them, and postage.
PAID = PRICE | {"amount": 2130}
POSTAGE = PRICE | {"amount": 350}
NO_MONEY = PRICE | {"amount": 0}
TEA = "Earl Grey, loose, 100 g"

FORMATS = {"date-time": NOW, "uuid": TAG, "uri": "https://shop.example/"}

VALUES: Mapping[str, Any] = {
    # People and places
    "username": "ada",
    "password": "demo-only",
    "token": "3f9c1e0b…",
    "customer_id": CUSTOMER,
    "customer": CUSTOMER,
    "name": "Ada Lovelace",
    "street": "12 St James's Square",
    "city": "London",
    "postcode": "SW1Y 4JH",
    "country": "GB",
    # Names and ids
    "order_id": ORDER,
    "order": ORDER,
    "return_id": RETURN,
    "refund_id": RETURN,
    "continued_by": f"{RETURN}.6dcd4ce23d88",
    "delivery": "parcel 2",
    "booking_id": "C541433",
    "command_id": TAG,
    "correlation_id": TAG,
    "request_id": REQUEST,
    "trace_id": TRACE,
    "sku": "TEA-EARL-GREY",
    "code": "POST",
    "reference": "A-1001",
    "tracking": "SB-0198c0de",
    # Webhooks
    "endpoint_id": ENDPOINT,
    "delivery_id": 4711,
    "url": HOOK,
    "types": ["orders.order_confirmed_integration"],
    "description": "the warehouse of our partner",
    "orders": "own",
    "endpoint_status": "enabled",
    "disabled_reason": "",
    "last_error": "",
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw4Zr8sNw2Cy4=",
    "event_type": "orders.order_confirmed_integration",
    "subject": ORDER,
    "delivery_status": "delivered",
    "error": "",
    "response": "ok",
    "http_status": 200,
    # Quantities and money
    "quantity": 2,
    "price": PRICE,
    "seen": PRICE,
    "unit_price": PRICE,
    "total": PAID,
    "refund": PAID,
    "refunded": PAID,
    "currency": "EUR",
    "exponent": 2,
    "payment_method": "tok_visa",
    "method": "tok_visa",
    "reason": "changed my mind",
    "kind": "CREDIT",
    "category": "payment",
    "type": "payments.payment_completed",
    "process": "orders.fulfilment",
    "location": f"/api/queries/orders/{ORDER}/",
    "received": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
    # Statuses
    "payment_status": "COMPLETED",
    "reservation_status": "RESERVED",
    "shipment_status": "CREATED",
    "return_status": "NONE",
    "repeat": False,
    "available": 100,
    "status": "PROCESSING",
    "version": 2,
    "position": 118,
    "after": 118,
    "caught_up": 131,
    "detail": "The command was rejected.",
    # Request headers
    "Idempotency-Key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
    "If-Match": '"2"',
    "If-None-Match": '"2.118"',
    "Min-Position": "118",
    "X-Min-Version": "2",
    "X-Correlation-ID": TAG,
    "X-Request-ID": REQUEST,
    "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
    "Prefer": "wait=2",
    "X-Reveal-Reason": "The parcel came back; asking for the house number",
    "Stripe-Signature": (
        "t=1769860800,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd"
    ),
    "webhook-id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
    "webhook-timestamp": "1769860800",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    # Response headers
    "Location": f"/api/queries/orders/{ORDER}/",
    "Preference-Applied": "respond-async",
    "Idempotent-Replayed": "true",
    "ETag": '"2.118"',
    "X-Answered-From": "read-model",
    "X-Projection-Position": "118",
    "Restarted-After": "96",
    "X-Projection-Lag": "0.000",
    "Link": (
        f"</api/queries/orders/?limit=50&cursor={ORDER}:LgJ0sXbVC3bu1vbYJbPhdFRDZFK3i2WSSAeyTLNEUzs>;"
        ' rel="next"'
    ),
    "Retry-After": "1",
    "WWW-Authenticate": "Bearer",
    "RateLimit": '"default";r=50;t=30',
    "RateLimit-Policy": '"default";q=100;w=60',
    "at": NOW,
    "placed_from": NOW,
    "placed_before": NOW,
    "cursor": f"{ORDER}:LgJ0sXbVC3bu1vbYJbPhdFRDZFK3i2WSSAeyTLNEUzs",
}

# By the name of a schema, an operation, or a side of the API: members with another value there.
VALUES_OF: Mapping[str, Mapping[str, Any]] = {
    "commands": {"Prefer": "respond-async"},
    "queries": {"Preference-Applied": "wait=2"},
    "OrderLine": {"name": TEA, "unit_price": 890},
    "Charge": {"name": "Postage", "quantity": 1, "unit_price": 350},
    "ReturnedLine": {"unit_price": 890},
    "ReturnedCharge": {"quantity": 1, "unit_price": 350},
    "Money": PAID,
    "MoneyAnswer": PAID,
    "OrderDetails": {"status": "CONFIRMED"},
    "OrderAnswer": {
        "status": "CONFIRMED",
        "reason": "",
        "reference": "",
        "return_status": "NONE",
        "refunded": NO_MONEY,
    },
    "LineAnswer": {"name": TEA, "announced": 0, "returned": 0},
    "ChargeAnswer": {"name": "Postage", "quantity": 1, "unit_price": POSTAGE},
    "ReturnedChargeAnswer": {"quantity": 1, "unit_price": POSTAGE},
    "CreditedLineAnswer": {"name": TEA},
    "ReturnAnswer": {"status": "RECEIVED", "reference": "", "refunded": NO_MONEY},
    "BookingAnswer": {"reason": "", "amount": PAID | {"amount": -2130}},
    "PaymentAnswer": {
        "status": "COMPLETED",
        "reason": "",
        "refunded": NO_MONEY,
        "reference": "ch_0198c0de",
    },
    "ShipmentAnswer": {"status": "CREATED", "reason": ""},
    "StockLevelAnswer": {"received": 102, "adjusted": 0, "reserved": 2, "returned": 0},
    "ProductAnswer": {"name": TEA},
    "ListProductShape": {"name": TEA},
    # Only staff may return charges.
    "RequestReturnShape": {"charges": []},
    "ProcessAnswer": {"status": "COMPLETED"},
    "EventAnswer": {"data": {"amount": PAID}},
    "HistoryAnswer": {"next": f"/api/queries/orders/{ORDER}/history/?after=118&limit=100"},
    "DeferredCommandAnswer": {"status": "SUCCEEDED", "code": "", "detail": ""},
    "StripeWebhook": {
        "id": "evt_1",
        "type": "payment_intent.succeeded",
        "data": {"object": {"object": "payment_intent"}},
    },
    "CarrierWebhook": {"type": "parcel.shipped"},
}

FORGED = "The signature is missing, invalid or expired."
SHUT = "Webhooks are disabled: no signing secret is configured."
# By status: the error's code, its detail, and its further members.
ProblemExample = tuple[str, str, Mapping[str, Any]]
PROBLEMS: Mapping[int, ProblemExample] = {
    400: (
        "ValidationError",
        "Some parts of the request are invalid.",
        {
            "errors": [
                {"pointer": "#/reason", "detail": "This field is required.", "code": "required"}
            ]
        },
    ),
    401: ("NotAuthenticated", "Authentication credentials were not provided.", {}),
    403: ("PermissionDenied", "You do not have permission to perform this action.", {}),
    404: ("NotFound", "Not found.", {}),
    406: ("NotAcceptable", "Could not satisfy the request Accept header.", {}),
    409: ("WrongExpectedVersion", "The resource was changed concurrently. Retry the request.", {}),
    411: (
        "LengthRequired",
        "Content-Length is required. Chunked request bodies are not supported.",
        {},
    ),
    412: (
        "Stale",
        f"The resource has another version than If-Match: order-{ORDER} is at version 3.",
        {"current_version": 3},
    ),
    413: ("BodyTooLarge", "The request body is larger than 2621440 bytes.", {}),
    414: ("AddressTooLong", "Malformed request: Limit request line.", {}),
    415: ("UnsupportedMediaType", 'Unsupported media type "text/plain" in request.', {}),
    422: (
        "KeyReused",
        "This idempotency key was used for a different request. Use a new key for each request.",
        {},
    ),
    429: ("Throttled", "Request was throttled. Expected available in 20 seconds.", {}),
    431: ("HeadersTooLarge", "Malformed request: Limit request headers.", {}),
    503: ("DatabaseUnavailable", "The database is unavailable. Retry in a moment.", {}),
}
# The address in the examples above.
PROBLEMS_INSTANCE = "/api/commands/orders/{order_id}/cancel/"
# By path and status: problems that differ from those above.
PROBLEMS_AT: Mapping[tuple[str, int], ProblemExample] = {
    ("/api/auth/login/", 401): (
        "AuthenticationFailed",
        "No active account has this username and password.",
        {},
    ),
    ("/api/commands/orders/", 409): (
        "PriceChanged",
        (
            "The price is not the one that the customer saw. TEA-EARL-GREY costs 8.90 EUR, not"
            " 7.90 EUR."
        ),
        {},
    ),
    ("/api/commands/orders/{order_id}/cancel/", 409): (
        "OrderNotOpen",
        f"The order is confirmed or cancelled already. {ORDER} is confirmed.",
        {},
    ),
    ("/api/commands/orders/{order_id}/returns/", 409): (
        "MoreThanWasBought",
        "More units than the order has left to return. Of line 1, 1 can be returned, not 2.",
        {},
    ),
    ("/api/webhooks/payments/stripe/", 401): ("Forged", FORGED, {}),
    ("/api/webhooks/shipping/", 401): ("Forged", FORGED, {}),
    ("/api/webhooks/payments/stripe/", 503): ("WebhooksShut", SHUT, {}),
    ("/api/webhooks/shipping/", 503): ("WebhooksShut", SHUT, {}),
}
