"""The tables as statistics may find them: analysed when they were empty, just emptied and filled
again, or full.

Rows are made by the server from one row of each table, by set, so that the size is only a number.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from bench import fill
from eventstore.testing import APPEND_ONLY, GUARD, UNGUARD

YOUNG, EMPTIED, FULL = "young", "emptied", "full"
STATES = (YOUNG, EMPTIED, FULL)
# Far fewer than orders in any shop; what fails is parked by the thousand when a provider is away.
PARKED = 20_000
# Of each table one row that the story has left, to be multiplied.
MODELS = "plans"

ID = "lpad(to_hex(number), 32, '0')::uuid::text"
# What differs from row to row; all else is as in the model. Rows: for each order so many.
VARIED = {
    "orders_order_details": ("{'order_id': id, 'customer_id': 'CUS-' || number %% 1000}", 1.0),
    "payments_payment": ("{'order_id': id, 'created_at': to_timestamp(number)}", 1.0),
    "shipping_shipment": ("{'order_id': id, 'created_at': to_timestamp(number)}", 1.0),
    "inventory_stock_level": ("{'sku': 'SKU-' || number}", 0.3),
    "orders_product": ("{'sku': 'SKU-' || number}", 0.3),
    "orders_return": (
        "{'return_id': id, 'order_id': id, 'customer_id': 'CUS-' || number %% 1000}",
        0.3,
    ),
    "orders_booking": ("{'booking_id': id}", 0.3),
    "payments_sandbox_entry": ("{'key': id, 'order_id': id, 'reference': id}", 1.0),
    "shipping_sandbox_parcel": ("{'key': id, 'order_id': id}", 1.0),
    "eventstore_saga": (
        "{'id': 1000000 + number, 'key': id, 'correlation_id': id, 'deadline_at': null}",
        1.0,
    ),
    "eventstore_stored_response": ("{'scope': 'somebody ' || id}", 1.0),
    "eventstore_inbox": ("{'id': 1000000 + number, 'message_id': id, 'received_at': now()}", 1.0),
    "eventstore_consumer_sequence": ("{'stream': id}", 1.0),
    "eventstore_early_message": (
        "{'id': 1000000 + number, 'stream': id, 'until': 'infinity'::timestamptz}",
        0.01,
    ),
    "eventstore_deferred_command": ("{'id': id, 'status': 'SUCCEEDED', 'deferred_at': now()}", 1.0),
    "eventstore_snapshot": ("{'stream': 'order-' || id}", 0.3),
    "eventstore_webhook_message": ("{'id': id}", 1.0),
    "eventstore_webhook_delivery": (
        "{'id': 1000000 + number, 'message_id': id, 'status': 'delivered', 'ended_at': now()}",
        1.0,
    ),
    "eventstore_webhook_attempt": (
        "{'id': 1000000 + number, 'delivery_id': 1000000 + number}",
        1.0,
    ),
    "eventstore_operator_action": (
        "{'id': 1000000 + number, 'subject': 'subscription-' || number %% 50}",
        0.3,
    ),
    "auth_user": ("{'id': 1000000 + number, 'username': 'user-' || number}", 0.3),
    "knox_authtoken": (
        "{'digest': 'd' || id, 'token_key': 'k' || number, 'user_id': 1000000 + number}",
        0.3,
    ),
    "django_session": ("{'session_key': 's' || number}", 0.3),
}
MULTIPLY = """
    INSERT INTO {table} ({columns})
    SELECT {columns}
    FROM (
        SELECT (jsonb_populate_record(one, {others})).*
        FROM (SELECT one FROM {models}.{table} AS one LIMIT 1) AS model(one),
             generate_series(1, %s) AS number,
             LATERAL (SELECT {id} AS id) AS named
    ) AS made
    ON CONFLICT DO NOTHING
"""
COLUMNS = """
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
# Of every kind, all over the subscriptions; none is due, none is of an order that anything happens
# to.
PARK = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts, due_at, error,
        traceback)
    SELECT names[1 + number %% cardinality(names)], number, 'filled-' || number / 3,
           (ARRAY['dead', 'waiting', 'failed'])[1 + number %% 3], 12,
           CASE WHEN number %% 3 = 2 THEN now() + interval '1 day' END, 'TimeoutError: once more',
               ''
    FROM generate_series(1, %s) AS number,
         (SELECT array_agg(name) FROM eventstore_subscription
             WHERE name NOT LIKE 'eventstore.%%') AS subscriptions(names)
    ON CONFLICT DO NOTHING
"""
# A retention keeps it all.
OUTBOX = """
    INSERT INTO eventstore_outbox (position, topic, key, type)
    SELECT position, 'event', stream, type FROM eventstore_event
    ON CONFLICT DO NOTHING
"""
# As of a subject that is sold every minute.
LONG_STREAM = """
    INSERT INTO eventstore_event (
        position, id, stream, version, type, data, correlation_id, causation_id, metadata
    )
    SELECT nextval('eventstore_position'), ('e' || lpad(to_hex(number), 31, '0'))::uuid,
        'stock-LONG', number,
           'inventory.stock_received', '{"sku": "LONG", "quantity": 1}',
               ('e' || lpad(to_hex(number), 31, '0'))::uuid,
           NULL, '{}'
    FROM generate_series(1, %s) AS number
"""
PASS = """
    UPDATE eventstore_subscription
    SET position = CASE WHEN name = 'eventstore.outbox' THEN 0 ELSE (SELECT last_value
        FROM eventstore_position) END
"""
# The log refuses DELETE, and nothing removes users, tokens and sessions all at once: these are
# never found emptied.
NEVER_EMPTIED = {
    "eventstore_event",
    "eventstore_schema",
    "eventstore_schema_reference",
    "eventstore_operator_action",
    "auth_user",
    "knox_authtoken",
    "django_session",
}
AUTOVACUUM = "ALTER TABLE {table} {what} (autovacuum_enabled{value})"
KEPT = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
}
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace ="
    " current_schema()::regnamespace"
)


@contextmanager
def filled(url: str, *, events: int, state: str) -> Iterator[None]:
    """The database of a shop in which one of everything has happened, with so many events beside,
    in this state of its statistics; afterwards it is empty."""
    with psycopg.connect(url, autocommit=True) as database:
        before = _one(database, "SELECT last_value FROM eventstore_position")
        tables = [name for (name,) in database.execute(TABLES) if name not in KEPT]
        _let_statistics_be(database, tables, "SET", " = false")
        try:
            _bring_about(database, tables, events, state)
            yield
        finally:
            _empty(database, tables)
            database.execute(f"DROP SCHEMA IF EXISTS {MODELS} CASCADE")
            _let_statistics_be(database, tables, "RESET", "")
            database.execute("SELECT setval('eventstore_position', %s)", [before])
            database.execute("VACUUM ANALYZE")


def _bring_about(database: Any, tables: Sequence[str], events: int, state: str) -> None:
    database.execute(f"DROP SCHEMA IF EXISTS {MODELS} CASCADE; CREATE SCHEMA {MODELS}")
    for table in tables:
        database.execute(f"CREATE TABLE {MODELS}.{table} AS SELECT * FROM {table}")
    if state == EMPTIED:
        _fill(database, events)
    if state != FULL:
        _empty(database, tables)
        for table in tables:
            emptied = state == EMPTIED and table not in NEVER_EMPTIED
            database.execute(f"VACUUM (ANALYZE, TRUNCATE {str(not emptied).lower()}) {table}")
        for table in tables:
            columns = _one(database, COLUMNS, table)
            _as_a_replica(
                database, f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {MODELS}.{table}"
            )
    _fill(database, events)
    if state == FULL:
        database.execute("VACUUM ANALYZE")


def _fill(database: Any, events: int) -> None:
    orders = events // fill.EVENTS_OF_AN_ORDER
    database.execute(fill.FILL, (1, orders))
    database.execute(LONG_STREAM, (events // 20,))
    database.execute(OUTBOX)
    database.execute(PARK, (PARKED,))
    database.execute(fill.SAMPLES)
    for table, (others, share) in VARIED.items():
        columns = _one(database, COLUMNS, table)
        others = f"jsonb_build_object({others.strip('{}').replace(': ', ', ')})"
        statement = MULTIPLY.format(
            table=table, columns=columns, others=others, models=MODELS, id=ID
        )
        _as_a_replica(database, statement, (int(orders * share),))
    database.execute(PASS)


def _empty(database: Any, tables: Sequence[str]) -> None:
    _as_a_replica(database, ";".join(f"DELETE FROM {table}" for table in tables))


def _as_a_replica(database: Any, statement: str, params: Any = None) -> None:
    """Neither foreign keys nor the guards of the log and of the registry are asked."""
    with database.transaction():
        database.execute("SET LOCAL session_replication_role = replica")
        database.execute(UNGUARD.format(guard=APPEND_ONLY))
        database.execute(statement, params)
        database.execute(GUARD.format(guard=APPEND_ONLY))


def _let_statistics_be(database: Any, tables: Sequence[str], what: str, value: str) -> None:
    for table in tables:
        database.execute(AUTOVACUUM.format(table=table, what=what, value=value))


def _one(database: Any, statement: str, *params: Any) -> Any:
    ((found,),) = database.execute(statement, params or None).fetchall()
    return found
