"""The checker finds nothing in a correct log, and each planted violation under its name."""

import json
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import Item, ListProduct, PlaceOrder, ReceiveReturn, RequestReturn
from orders.events import Portion
from shipping.commands import Address
from tools.verification.chaos.checker import Checker
from tools.verification.chaos.checks import CHECKS
from tools.verification.chaos.load import SentCommand
from tools.verification.simulation.outside import Outside

CONFIRMED, CANCELLED, RETURN = str(uuid4()), str(uuid4()), str(uuid4())
UNITS = 10

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def checker():
    """For a shop with a confirmed order and a return of one unit, and an order whose card was
    declined."""
    bus.dispatch(ListProduct("TEA", "Tea", Money(500, "EUR")))
    bus.dispatch(ReceiveStock("TEA", UNITS))
    log = {}
    for order_id, method in ((CONFIRMED, "tok_visa"), (CANCELLED, "tok_declined")):
        _place(order_id, method)
        log[order_id] = _acked("place", order_id, order_id)
    drain()
    _send_back(CONFIRMED)
    log |= {kind: _acked(kind, kind, CONFIRMED, subject=RETURN) for kind in ("return", "receive")}
    drain()
    return Checker(_url(), "http://unused", {"ada": ""}, "operator", log, {"TEA": UNITS})


def test_nothing_is_wrong_where_nothing_is_wrong(checker):
    assert found(checker) == set()
    assert checker.settle(seconds=1) is not None


PLANTED = {
    "versions are contiguous from 1": (
        "UPDATE eventstore_event SET version = 7 WHERE type = 'orders.order_confirmed'"
    ),
    "position follows version": (
        """
        UPDATE eventstore_event SET position = 999999 WHERE stream = 'order-{confirmed}'
            AND version = 1
    """
    ),
    "a cause is in the log, and earlier": (
        """
        UPDATE eventstore_event SET causation_id = gen_random_uuid()
            WHERE type = 'orders.order_confirmed'
    """
    ),
    "no amount is negative, and no quantity is zero": (
        """
        UPDATE eventstore_event SET data = jsonb_set(data::jsonb, '{{quantity}}', '0')
        WHERE type = 'inventory.stock_reserved'
    """
    ),
    "every event is in the outbox": "DELETE FROM eventstore_outbox WHERE topic = 'event'",
    "every message to a subscription was delivered": (
        """
        INSERT INTO eventstore_outbox (position, topic, key, type) VALUES (999999, 'payments', 'x',
            'x')
    """
    ),
    "only the poison messages are parked": (
        """
        INSERT INTO eventstore_parked (subscription, position, key, status) VALUES ('payments', 1,
            'order-1', 'dead')
    """
    ),
    "order details have every event": "UPDATE orders_order_details SET position = 1",
    "order details are the fold of the log": "UPDATE orders_order_details SET status = 'PLACED'",
    "order details show no order that is not in the log": (
        """
        INSERT INTO orders_order_details SELECT (jsonb_populate_record(details,
            '{{"order_id": "ghost"}}')).*
        FROM orders_order_details AS details LIMIT 1
    """
    ),
    "no subscription has passed an event that its read model lacks": (
        "DELETE FROM orders_order_details"
    ),
    "stock levels have every event": "UPDATE inventory_stock_level SET position = 1",
    "stock levels have counted each event once": (
        """
        UPDATE inventory_stock_level SET reserved = 2 * reserved, available = available - reserved
    """
    ),
    "an order that was acknowledged is in the log": (
        "DELETE FROM eventstore_event WHERE stream = 'order-{confirmed}'"
    ),
    "one key, one order": (
        """
        UPDATE eventstore_event SET data = jsonb_set(data::jsonb, '{{address,name}}',
            '"{confirmed}"')
        WHERE stream = 'order-{cancelled}' AND version = 1
    """
    ),
    "every order was requested by its customer": (
        """
        UPDATE eventstore_event SET data = jsonb_set(data::jsonb, '{{customer_id}}', '"grace"')
        WHERE stream = 'order-{confirmed}' AND version = 1
    """
    ),
    "every order has ended": "DELETE FROM eventstore_event WHERE type = 'orders.order_confirmed'",
    "no open order is forgotten": (
        "DELETE FROM eventstore_event WHERE type = 'orders.order_confirmed'"
    ),
    "no order has ended twice": (
        """
        INSERT INTO eventstore_event (position, id, stream, version, type, data, correlation_id,
            metadata)
        SELECT 999999, gen_random_uuid(), stream, 99, 'orders.order_cancelled', data,
            correlation_id, metadata
        FROM eventstore_event WHERE type = 'orders.order_confirmed'
    """
    ),
    "an ended order has no later events except of returns": (
        """
        INSERT INTO eventstore_event (position, id, stream, version, type, data, correlation_id,
            metadata)
        SELECT 999999, gen_random_uuid(), stream, 99, 'orders.order_placed', data, correlation_id,
            metadata
        FROM eventstore_event WHERE type = 'orders.order_cancelled'
    """
    ),
    "every process has ended": "UPDATE eventstore_saga SET status = 'CONFIRMING'",
    "every order has one process": "DELETE FROM eventstore_saga",
    "the provider's book matches the log": "DELETE FROM payments_sandbox_entry",
    "a confirmed order paid its total less its returns, any other order nothing": (
        """
        UPDATE payments_sandbox_entry SET asked = asked - 1 WHERE kind = 'charge'
    """
    ),
    "no return was refunded twice": (
        """
        INSERT INTO eventstore_event (position, id, stream, version, type, data, correlation_id,
            metadata)
        SELECT 999999, gen_random_uuid(), stream, 99, type, data, correlation_id, metadata
        FROM eventstore_event WHERE type = 'payments.part_refunded'
    """
    ),
    "one key, one return": (
        """
        INSERT INTO eventstore_event (position, id, stream, version, type, data, correlation_id,
            metadata)
        SELECT 999999, gen_random_uuid(), 'return-again', 1, type, data, correlation_id, metadata
        FROM eventstore_event WHERE type = 'orders.return_requested'
    """
    ),
    "every return with received goods is refunded": (
        """
        UPDATE eventstore_saga SET status = 'REFUNDING' WHERE saga = 'orders.returning'
    """
    ),
    "no order was charged twice": (
        """
        INSERT INTO payments_sandbox_entry
            (key, tries, done_at, order_id, kind, asked, currency, exponent, method, reference)
        SELECT key || '-again', tries, done_at, order_id, kind, asked, currency, exponent, method,
            reference
        FROM payments_sandbox_entry WHERE kind = 'charge'
    """
    ),
    "no order was refunded more than it was charged": (
        """
        INSERT INTO payments_sandbox_entry
            (key, tries, done_at, order_id, kind, asked, currency, exponent, method, reference)
        SELECT key || '-back', tries, done_at, order_id, 'refund', asked * 2, currency, exponent,
            method, reference
        FROM payments_sandbox_entry WHERE kind = 'charge'
    """
    ),
    "every call to the provider has the idempotency key of a request in the log": (
        """
        UPDATE payments_sandbox_entry SET key = gen_random_uuid()
    """
    ),
    "stock was never negative": (
        """
        UPDATE eventstore_event SET data = jsonb_set(data::jsonb, '{{quantity}}', '1000')
        WHERE type = 'inventory.stock_reserved'
    """
    ),
    "every unit is in stock or reserved for one order": (
        """
        UPDATE eventstore_event SET data = jsonb_set(data::jsonb, '{{quantity}}', '3')
        WHERE type = 'inventory.stock_reserved'
    """
    ),
    "goods are reserved exactly for confirmed orders": (
        """
        UPDATE eventstore_event SET type = 'inventory.inventory_released'
            WHERE type = 'inventory.inventory_reserved'
    """
    ),
    "each confirmed order has a parcel, and no other order has one": (
        """
        UPDATE eventstore_event SET type = 'shipping.shipment_cancelled'
            WHERE type = 'shipping.shipment_created'
    """
    ),
}


# Checks that need the clients' log.
BY_CLIENT_LOG = {
    "one key, one response",
    "a cancellation that was acknowledged is in the log",
    "a return that was acknowledged is in the log",
    "a rejected command had no effect",
}


@pytest.mark.parametrize("check", PLANTED)
def test_it_finds_what_was_planted(checker, check):
    with psycopg.connect(_url(), autocommit=True) as vandal:
        vandal.execute("SET session_replication_role = replica")
        # A trigger keeps the log append-only.
        vandal.execute("ALTER TABLE eventstore_event DISABLE TRIGGER eventstore_append_only")
        vandal.execute(PLANTED[check].format(confirmed=CONFIRMED, cancelled=CANCELLED))
        vandal.execute("ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_append_only")
    assert check in found(checker)


def test_it_finds_what_the_clients_remember_otherwise(checker):
    ours = checker.log[CONFIRMED]
    ours.answers.append(ours.answers[0] + " ")
    checker.log["late"] = _acked("cancel", "late", CONFIRMED)
    checker.log["receive"].subject = str(uuid4())
    checker.log[CANCELLED].outcome = "refused"
    assert found(checker) == BY_CLIENT_LOG


def test_there_is_a_planted_case_for_every_check():
    assert set(PLANTED) | BY_CLIENT_LOG == set(CHECKS)


def found(checker):
    return {name for name, _, rows in checker._by_sql() if rows}


def _place(order_id, method):
    at = Outside.today
    bus.dispatch(PlaceOrder(order_id, "ada", (Item("TEA", 2),), Address(order_id), method, at))


def _send_back(order_id):
    portions = (Portion(1, 1),)
    bus.dispatch(RequestReturn(RETURN, order_id, portions, (), "too green", Outside.today))
    bus.dispatch(ReceiveReturn(RETURN, order_id, portions, Outside.today))


def _acked(kind, key, order_id, *, subject=""):
    answers = [json.dumps({"order_id": order_id})]
    return SentCommand(
        kind, key, "ada", "", {}, order_id, subject or order_id, [], answers, "acked", 202
    )


def _url():
    settings = connection.settings_dict
    user, password = settings["USER"], settings["PASSWORD"]
    return (
        f"postgresql://{user}:{password}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    )
