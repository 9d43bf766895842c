"""Which aggregate decides a command, and which subscription handles an event: config/urls.py for
messages."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

import inventory.commands
import inventory.events
import inventory.integration_events
import inventory.policies
import orders.commands
import orders.events
import orders.integration_events
import orders.personal
import orders.policies
import payments.commands
import payments.events
import payments.integration_events
import payments.limits
import payments.personal
import payments.policies
import payments.reconciliation
import retail_import.import_progress
import shipping.commands
import shipping.events
import shipping.integration_events
import shipping.personal
import shipping.policies
import shipping.reconciliation
from access.webhook_receivers import account_called, receivers
from eventstore.models import WebhookAttempt
from eventstore.subscriptions import Commands, Relay, Webhooks
from inventory import reservation, restocking
from inventory.projections import STOCK_LEVELS
from inventory.reservation import RESERVATION
from inventory.restocking import RESTOCKING
from inventory.stock import STOCK
from orders.bookkeeping.aggregate import BOOKING
from orders.bookkeeping.projections import BOOKINGS
from orders.catalogue.aggregate import PRODUCT
from orders.catalogue.projections import CATALOGUE
from orders.loyalty.aggregate import LOYALTY
from orders.loyalty.partner import read_from
from orders.order import aggregate as order
from orders.order.aggregate import ORDER
from orders.order.projections import ORDER_DETAILS
from orders.order.saga import FULFILMENT
from orders.returns import aggregate as returns
from orders.returns.aggregate import RETURN
from orders.returns.projections import RETURNS
from orders.returns.saga import RETURNING
from orders.webhook_owners import owners
from payments.gateway import GATEWAY
from payments.payment import limited
from payments.projections import PAYMENTS
from retail_import.import_progress import HISTORY_IMPORT
from shipping.carrier import CARRIER
from shipping.projections import SHIPMENTS
from shipping.shipment import SHIPMENT

EVENTS = [
    orders.events.EVENTS,
    payments.events.EVENTS,
    inventory.events.EVENTS,
    shipping.events.EVENTS,
    retail_import.import_progress.EVENTS,
]

COMMANDS = [
    orders.commands.COMMANDS,
    payments.commands.COMMANDS,
    inventory.commands.COMMANDS,
    shipping.commands.COMMANDS,
    retail_import.import_progress.COMMANDS,
]

# Convert stored events of older versions, step by step, to their present class.
UPCASTERS = [orders.events.UPCASTERS]

# Integration events, for other systems; separate from the stored events.
PUBLISHED = [
    orders.integration_events.PUBLISHED,
    payments.integration_events.PUBLISHED,
    inventory.integration_events.PUBLISHED,
    shipping.integration_events.PUBLISHED,
]

# Personal data: masked in the console and in exports unless a reason is given.
PERSONAL = [
    orders.personal.PERSONAL,
    payments.personal.PERSONAL,
    shipping.personal.PERSONAL,
    # What a receiver answers may hold anything.
    {WebhookAttempt: ("response",)},
]

# Amounts that the provider cannot transfer are rejected before anything is written.
LIMITS = payments.limits.OF.get(settings.PAYMENT_GATEWAY, payments.limits.OF["sandbox"])

AGGREGATES = [
    ORDER,
    RETURN,
    BOOKING,
    LOYALTY,
    PRODUCT,
    HISTORY_IMPORT,
    limited(LIMITS.refund),
    STOCK,
    RESERVATION,
    RESTOCKING,
    SHIPMENT,
]

# Decisions over several streams.
DECISIONS = [
    order.decisions(LIMITS.charge),
    returns.decisions(LIMITS.refund),
    reservation.DECISIONS,
    restocking.DECISIONS,
]

# The process of an order: orchestrated by one saga, or choreographed by policies of the contexts.
PROCESSES = {
    "orchestration": {
        "orders.fulfilment": FULFILMENT,
    },
    "choreography": {
        "orders.policy": orders.policies.POLICY,
        "payments.policy": payments.policies.POLICY,
        "inventory.policy": inventory.policies.POLICY,
        "shipping.policy": shipping.policies.POLICY,
    },
}

if settings.ORDER_PROCESS not in PROCESSES:
    raise ImproperlyConfigured(f"ORDER_PROCESS: expected one of {', '.join(PROCESSES)}.")

PUBLICATIONS = {
    "orders.published": orders.integration_events.PUBLICATION,
    "payments.published": payments.integration_events.PUBLICATION,
    "inventory.published": inventory.integration_events.PUBLICATION,
    "shipping.published": shipping.integration_events.PUBLICATION,
}
# One relay for each publication and each broker of the settings.
RELAYS = {
    f"{name}@{broker}": Relay(publication, broker)
    for name, publication in PUBLICATIONS.items()
    for broker in settings.EVENTSTORE_BROKERS
}

# Read by manage.py consume. The loyalty partner answers on one broker; examples/loyalty is one.
CONSUMERS = {
    f"orders.loyalty@{broker}": read_from(broker) for broker in settings.EVENTSTORE_BROKERS
}

# The names are stored with the cursors in the database; renaming one needs a migration.
SUBSCRIPTIONS = {
    **PROCESSES[settings.ORDER_PROCESS],
    "orders.returning": RETURNING,
    "payments": Commands(),
    "payments.gateway": GATEWAY,
    "inventory": Commands(),
    "shipping": Commands(),
    "shipping.carrier": CARRIER,
    "orders": Commands(),
    "orders.details": ORDER_DETAILS,
    "orders.catalogue": CATALOGUE,
    "orders.returns": RETURNS,
    "orders.bookings": BOOKINGS,
    "payments.payments": PAYMENTS,
    "inventory.stock_levels": STOCK_LEVELS,
    "shipping.shipments": SHIPMENTS,
    **PUBLICATIONS,
    **RELAYS,
    **CONSUMERS,
    # To the endpoints that customers register.
    "webhooks": Webhooks(tuple(PUBLICATIONS.values()), owners, receivers, account_called),
}

# Statuses that manage.py sagas list accepts even if no stored saga has them.
STATUSES = {
    "orders.fulfilment": (
        *(
            "STARTED",
            "PAYMENT_PENDING",
            "INVENTORY_PENDING",
            "SHIPPING_PENDING",
            "CONFIRMING",
            "COMPLETED",
        ),
        *("COMPENSATING", "COMPENSATED"),
    ),
    "orders.returning": (
        *(
            "STARTED",
            "GOODS_PENDING",
            "RESTOCKING",
            "REFUNDING",
            "COMPLETING",
            "COMPLETED",
            "CLOSING",
            "CLOSED",
        ),
    ),
    "orders.policy": ("open", "unpaid", "paid", "confirming", "cancelling"),
    "payments.policy": ("new", "asked", "cancelled", "COMPENSATING"),
    "inventory.policy": ("new", "noted", "asked", "cancelled", "kept", "COMPENSATING"),
    "shipping.policy": ("new", "noted", "asked", "cancelled", "void"),
}

# Called after a restore: the providers' books show what the log has lost.
AFTER_RESTORE = {
    "payments": payments.reconciliation.report_lost,
    "shipping": shipping.reconciliation.report_lost,
}
