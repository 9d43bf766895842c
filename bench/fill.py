"""A log of any size, put there in bulk: orders that went through, seven events each."""

import psycopg

EVENTS_OF_AN_ORDER = 7

# Ids that grow, as ours do; the outbox stays empty, for every lane has passed what is old.
FILL = """
    WITH orders AS (
        SELECT lpad(to_hex(number), 32, '0')::uuid::text AS id, number
        FROM generate_series(%s::bigint, %s::bigint) AS number
    )
    INSERT INTO eventstore_event (
        position, id, stream, version, type, data, correlation_id, causation_id, metadata
    )
    SELECT nextval('eventstore_position'), ('f' || lpad(to_hex(number * 16 + step), 31, '0'))::uuid,
           category || '-' || orders.id, version, type, (jsonb_build_object('order_id', orders.id) || data)::json,
           orders.id::uuid, NULL, '{"actor": "bench"}'
    FROM orders
    CROSS JOIN (VALUES
        (1, 'order', 1, 'orders.order_placed', '{
            "customer_id": "CUS-1", "total": {"amount": 4498, "currency": "USD", "exponent": 2}, "charges": [],
            "lines": [{"sku": "P1", "name": "Product P1", "quantity": 2, "unit_price": 1999},
                      {"sku": "P51", "name": "Product P51", "quantity": 1, "unit_price": 500}],
            "address": {"name": "Ada", "street": "1 Main Street", "city": "London", "postcode": "N1", "country": "GB"},
            "payment_method": "tok_visa", "placed_at": "2026-01-01T12:00:00Z", "reference": ""}'::jsonb),
        (2, 'payment', 1, 'payments.payment_requested',
            '{"amount": {"amount": 4498, "currency": "USD", "exponent": 2}, "method": "tok_visa"}'),
        (3, 'payment', 2, 'payments.payment_completed',
            '{"amount": {"amount": 4498, "currency": "USD", "exponent": 2}, "reference": "ch_1"}'),
        (4, 'reservation', 1, 'inventory.inventory_reserved',
            '{"lines": [{"sku": "P1", "quantity": 2}, {"sku": "P51", "quantity": 1}]}'),
        (5, 'shipment', 1, 'shipping.shipment_requested', '{"address": {
            "name": "Ada", "street": "1 Main Street", "city": "London", "postcode": "N1", "country": "GB"}}'),
        (6, 'shipment', 2, 'shipping.shipment_created', '{"tracking": "SB1"}'),
        (7, 'order', 2, 'orders.order_confirmed', '{}')
    ) AS steps(step, category, version, type, data)
    ORDER BY number, step
"""
PASS = "UPDATE eventstore_subscription SET position = (SELECT last_value FROM eventstore_position)"


def fill(url: str, *, events: int) -> int:
    """Bring the log to about so many events; returns how many there are."""
    with psycopg.connect(url, autocommit=True) as connection:
        there = _count(connection)
        missing = max(0, events - there) // EVENTS_OF_AN_ORDER
        first = there + 1
        connection.execute(FILL, (first, first + missing - 1))
        connection.execute(PASS)
        connection.execute("VACUUM ANALYZE eventstore_event")
        connection.execute("CHECKPOINT")
        return _count(connection)


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM eventstore_event").fetchone()
    return int(row[0]) if row else 0
