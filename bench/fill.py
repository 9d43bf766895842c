"""Fill a log of any size in bulk with confirmed orders, seven events each, and the tables that
belong
to them."""

import psycopg

EVENTS_OF_AN_ORDER = 7

# Ids grow with time, as ours do. The outbox stays empty: every subscription is past these events.
FILL = """
    WITH orders AS (
        SELECT lpad(to_hex(number), 32, '0')::uuid::text AS id, number
        FROM generate_series(%s::bigint, %s::bigint) AS number
    )
    INSERT INTO eventstore_event (
        position, id, stream, version, type, data, correlation_id, causation_id, metadata
    )
    SELECT nextval('eventstore_position'), ('f' || lpad(to_hex(number * 16 + step), 31, '0'))::uuid,
           category || '-' || orders.id, version, type, (jsonb_build_object('order_id',
               orders.id) || data)::json,
           orders.id::uuid, NULL, '{"actor": "bench"}'
    FROM orders
    CROSS JOIN (VALUES
        (1, 'order', 1, 'orders.order_placed', '{
            "customer_id": "CUS-1", "total": {"amount": 4498, "currency": "USD", "exponent": 2},
                "charges": [],
            "lines": [{"sku": "P1", "name": "Product P1", "quantity": 2, "unit_price": 1999},
                      {"sku": "P51", "name": "Product P51", "quantity": 1, "unit_price": 500}],
            "address": {"name": "Ada", "street": "1 Main Street", "city": "London",
                "postcode": "N1", "country": "GB"},
            "payment_method": "tok_visa", "placed_at": "2026-01-01T12:00:00Z",
                "reference": ""}'::jsonb),
        (2, 'payment', 1, 'payments.payment_requested',
            '{"amount": {"amount": 4498, "currency": "USD", "exponent": 2}, "method": "tok_visa"}'),
        (3, 'payment', 2, 'payments.payment_completed',
            '{"amount": {"amount": 4498, "currency": "USD", "exponent": 2}, "reference": "ch_1"}'),
        (4, 'reservation', 1, 'inventory.inventory_reserved',
            '{"lines": [{"sku": "P1", "quantity": 2}, {"sku": "P51", "quantity": 1}]}'),
        (5, 'shipment', 1, 'shipping.shipment_requested', '{"address": {
            "name": "Ada", "street": "1 Main Street", "city": "London", "postcode": "N1",
                "country": "GB"}}'),
        (6, 'shipment', 2, 'shipping.shipment_created', '{"tracking": "SB1"}'),
        (7, 'order', 2, 'orders.order_confirmed', '{}')
    ) AS steps(step, category, version, type, data)
    ORDER BY number, step
"""
# Copies of the one row in the table, under the ids of the filled orders.
MULTIPLY = """
    INSERT INTO {table}
    SELECT (jsonb_populate_record(one, {others})).*
    FROM (SELECT one FROM {table} AS one LIMIT 1) AS model(one),
         generate_series(1, %s) AS number,
         LATERAL (SELECT lpad(to_hex(number), 32, '0')::uuid::text AS id) AS named
"""
OF_AN_ORDER = {
    "orders_order_details": (
        "jsonb_build_object('order_id', id, 'customer_id', 'CUS-' || number %% 1000)"
    ),
    "payments_payment": "jsonb_build_object('order_id', id)",
    "shipping_shipment": "jsonb_build_object('order_id', id)",
    "eventstore_saga": "jsonb_build_object('id', 1000 + number, 'key', id, 'correlation_id', id)",
}
OUTBOX = """
    INSERT INTO eventstore_outbox (position, topic, key, type)
    SELECT position, 'event', stream, type FROM eventstore_event ORDER BY position DESC LIMIT %s
    ON CONFLICT DO NOTHING
"""
PARKED = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts, due_at, error,
        traceback)
    SELECT 'orders.details', position, key, CASE WHEN position %% 3 = 0 THEN 'dead'
        ELSE 'failed' END, 12, NULL,
           'TimeoutError: once more', repeat('Traceback ', 100)
    FROM eventstore_outbox ORDER BY position DESC LIMIT %s
"""
ACTIONS = """
    INSERT INTO eventstore_operator_action (who, action, subject, reason, details)
    SELECT 'grace', 'retry', 'orders.details', 'because', '{}' FROM generate_series(1, %s)
"""
# A subscription that was deployed today and has the whole log ahead.
BEHIND = "UPDATE eventstore_subscription SET position = 0 WHERE name = 'orders.returns'"
SAMPLES = """
    INSERT INTO eventstore_sample (subscription, slot, at, position, events, seconds)
    SELECT subscription, slot, to_timestamp(slot * 30), slot, 0, 0
    FROM (SELECT name FROM eventstore_subscription UNION SELECT '') AS subscriptions(subscription),
         generate_series((extract(epoch FROM now()) / 30)::integer - 2900,
                         (extract(epoch FROM now()) / 30)::integer) AS slot
    ON CONFLICT DO NOTHING
"""
PASS = "UPDATE eventstore_subscription SET position = (SELECT last_value FROM eventstore_position)"


def fill(url: str, *, events: int) -> int:
    """Fill the log up to about this many events. Returns the number of events."""
    with psycopg.connect(url, autocommit=True) as connection:
        count = _count(connection)
        missing = max(0, events - count) // EVENTS_OF_AN_ORDER
        first = count + 1
        connection.execute(FILL, (first, first + missing - 1))
        connection.execute(PASS)
        connection.execute("VACUUM ANALYZE eventstore_event")
        connection.execute("CHECKPOINT")
        return _count(connection)


def fill_tables(url: str, *, orders: int, messages: int, troubles: int) -> None:
    """Fill the other tables: read models and sagas of the orders, a day of samples, a subscription
    at position 0, messages in the outbox. troubles: parked messages, and operator actions."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table, others in OF_AN_ORDER.items():
            connection.execute(MULTIPLY.format(table=table, others=others), (orders,))
        connection.execute(OUTBOX, (messages,))
        connection.execute(PARKED, (troubles,))
        connection.execute(ACTIONS, (troubles,))
        connection.execute(SAMPLES)
        connection.execute(BEHIND)
        connection.execute("VACUUM ANALYZE")


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM eventstore_event").fetchone()
    return int(row[0]) if row else 0
