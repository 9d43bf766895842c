"""Who decides a command, who hears an event: what config/urls.py is to requests, this is to
messages."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

import inventory.commands
import inventory.events
import inventory.policies
import orders.commands
import orders.events
import orders.integration_events
import orders.personal
import orders.policies
import payments.commands
import payments.events
import payments.limits
import payments.personal
import payments.policies
import payments.reconciliation
import retail_import.import_progress
import shipping.commands
import shipping.events
import shipping.personal
import shipping.policies
import shipping.reconciliation
from eventstore.subscriptions import Commands
from inventory import reservation, restocking
from inventory.projections import STOCK_LEVELS
from inventory.reservation import RESERVATION
from inventory.restocking import RESTOCKING
from inventory.stock import STOCK
from orders.bookkeeping.aggregate import BOOKING
from orders.bookkeeping.projections import BOOKINGS
from orders.catalogue.aggregate import PRODUCT
from orders.catalogue.projections import CATALOGUE
from orders.integration_events import PUBLICATION
from orders.order import place_order
from orders.order.aggregate import ORDER
from orders.order.projections import ORDER_DETAILS
from orders.order.saga import FULFILMENT
from orders.returns import aggregate as returns
from orders.returns.aggregate import RETURN
from orders.returns.projections import RETURNS
from orders.returns.saga import RETURNING
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

# Events as they were written in the past, step by step to their class of today.
UPCASTERS = [orders.events.UPCASTERS]

# What others are told, apart from our own events.
PUBLISHED = [orders.integration_events.PUBLISHED]

# What is about a person, and hidden in the console and in exports until somebody says why it is to
# be seen.
PERSONAL = [orders.personal.PERSONAL, payments.personal.PERSONAL, shipping.personal.PERSONAL]

# What the provider cannot move is refused before anything is written.
LIMITS = payments.limits.OF.get(settings.PAYMENT_GATEWAY, payments.limits.OF["sandbox"])

AGGREGATES = [
    ORDER,
    RETURN,
    BOOKING,
    PRODUCT,
    HISTORY_IMPORT,
    limited(LIMITS.refund),
    STOCK,
    RESERVATION,
    RESTOCKING,
    SHIPMENT,
]

# Decided over several streams at once.
DECISIONS = [
    place_order.decisions(LIMITS.charge),
    returns.decisions(LIMITS.refund),
    reservation.DECISIONS,
    restocking.DECISIONS,
]

# How an order goes through: one saga that conducts, or each context by what it hears of the others.
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
    raise ImproperlyConfigured(f"ORDER_PROCESS is none of {', '.join(PROCESSES)}.")

# The names are kept beside cursors in the database; renaming one needs a migration.
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
    "orders.published": PUBLICATION,
}

# Statuses that manage.py sagas list accepts, beside those that are stored.
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

# Whose books are asked after a restore for what the log has lost.
AFTER_RESTORE = {
    "payments": payments.reconciliation.report_lost,
    "shipping": shipping.reconciliation.report_lost,
}
