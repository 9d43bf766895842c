"""Prototype, not product: subscriptions (here: lanes) with cursors over an insert-only outbox, in
plain psycopg.

It shows the limit of this design on a machine. It leaves out what a product needs: retries,
parking, idempotency, checked messages, upcasting, snapshots, real metadata, an outside gateway,
stock that
can run out, a broker.

usage: python -m bench.one bench.peers.limit_lanes ORDERS [WORKERS]   (DATABASE_URL: empty)
"""

import json
import multiprocessing
import os
import time
import uuid

import msgspec
import psycopg
from psycopg import sql

from bench import basket

BATCH = 500

SCHEMA = """
    CREATE SEQUENCE pos;
    CREATE TABLE event (
        position bigint PRIMARY KEY,
        stream text COLLATE "C" NOT NULL,
        version int NOT NULL,
        type text COLLATE "C" NOT NULL,
        data jsonb NOT NULL,
        meta jsonb NOT NULL,
        id uuid NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (stream, version)
    );
    CREATE TABLE outbox (
        id bigint PRIMARY KEY,
        lane text NOT NULL,
        key text NOT NULL,
        type text NOT NULL,
        payload jsonb
    );
    CREATE TABLE lane (name text PRIMARY KEY, pos bigint NOT NULL DEFAULT 0);
    CREATE TABLE saga (key text PRIMARY KEY, state jsonb NOT NULL);
    CREATE TABLE p_order (key text PRIMARY KEY, state jsonb NOT NULL);
    CREATE TABLE p_stock (key text PRIMARY KEY, state jsonb NOT NULL);
    CREATE TABLE p_payment (key text PRIMARY KEY, state jsonb NOT NULL);
    CREATE TABLE p_shipment (key text PRIMARY KEY, state jsonb NOT NULL);

    CREATE FUNCTION append_(
        streams text[], versions int[], types text[], data jsonb[], metas jsonb[], ids uuid[],
        clanes text[], ckeys text[], ctypes text[], cpay jsonb[]
    ) RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
        lv bigint;
    BEGIN
        SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO lv FROM pos;
        PERFORM pg_advisory_xact_lock_shared((77::bigint << 48) | lv);
        WITH written AS (
            INSERT INTO event (position, stream, version, type, data, meta, id)
            SELECT nextval('pos'), s, v, t, d, m, i
            FROM unnest(streams, versions, types, data, metas, ids) AS sent(s, v, t, d, m, i)
            RETURNING position, stream, type
        )
        INSERT INTO outbox (id, lane, key, type) SELECT position, 'event', stream, type
            FROM written;
        IF cardinality(clanes) > 0 THEN
            INSERT INTO outbox (id, lane, key, type, payload)
            SELECT nextval('pos'), l, k, t, p
                FROM unnest(clanes, ckeys, ctypes, cpay) AS owed(l, k, t, p);
        END IF;
        RETURN lv;
    END $$;
"""
APPEND = """
    SELECT append_(%s::text[], %s::int[], %s::text[], %s::jsonb[], %s::jsonb[], %s::uuid[],
                   %s::text[], %s::text[], %s::text[], %s::jsonb[])
"""
LOAD_ROWS = "SELECT key, state::text FROM {} WHERE key = ANY(%s)"
SAVE_ROWS = """
    INSERT INTO {} (key, state) SELECT * FROM unnest(%s::text[], %s::jsonb[])
    ON CONFLICT (key) DO UPDATE SET state = EXCLUDED.state
"""
LOAD_STREAMS = (
    "SELECT stream, type, data::text FROM event WHERE stream = ANY(%s) ORDER BY stream, version"
)
LAST_VERSIONS = (
    "SELECT s, (SELECT max(version) FROM event e WHERE e.stream = s) FROM unnest(%s::text[]) AS s"
)
EVENTS = (
    "SELECT stream, type, data::text, version FROM event WHERE position = ANY(%s) ORDER BY position"
)

CLAIM = "SELECT pos FROM lane WHERE name = %s FOR UPDATE SKIP LOCKED"
SEQUENCE = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pos"
FLOOR = """
    SELECT min((((classid::bigint << 32) | objid::bigint) & ((1::bigint << 48) - 1)))
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND (classid::bigint >> 16) = 77 AND granted
"""
READ_COMMANDS = """
    SELECT id, key, payload::text FROM outbox
    WHERE id > %s AND id <= %s AND lane = %s ORDER BY id LIMIT %s
"""
READ_EVENTS = """
    SELECT id, key, NULL FROM outbox
    WHERE id > %s AND id <= %s AND lane = 'event' AND type = ANY(%s) ORDER BY id LIMIT %s
"""
MOVE = "UPDATE lane SET pos = %s WHERE name = %s"

COMPLETED = "SELECT count(*) FROM saga WHERE state->>'state' = 'COMPLETED'"
CONFIRMED = "SELECT count(*) FROM p_order WHERE state->>'status' = 'OrderConfirmed'"
BEHIND = """
    SELECT EXISTS (
        SELECT FROM lane JOIN unnest(%s::text[], %s::text[]) AS hears(name, type)
            ON hears.name = lane.name
        WHERE EXISTS (SELECT FROM event WHERE event.type = hears.type AND event.position > lane.pos)
    )
"""

decode = msgspec.json.decode


def main(orders: int, workers: int = 1) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(SCHEMA)
        for name in LANES:
            connection.execute("INSERT INTO lane (name) VALUES (%s)", (name,))
        stop = multiprocessing.Event()
        processes = [
            multiprocessing.Process(target=_work, args=(stop,), daemon=True) for _ in range(workers)
        ]
        for process in processes:
            process.start()
        time.sleep(0.5)
        print(json.dumps(_lone(connection) | _many(connection, orders)))
        stop.set()
        for process in processes:
            process.join()


def _lone(connection):
    taken = []
    for done in range(basket.WARM_UP):
        start = time.perf_counter()
        _place(connection, 1)
        while connection.execute(COMPLETED).fetchone()[0] <= done:
            time.sleep(0.002)
        taken.append(time.perf_counter() - start)
    return {"lone_p50_ms": sorted(taken)[basket.WARM_UP // 2] * 1e3}


def _many(connection, orders):
    start = time.perf_counter()
    _place(connection, orders)
    placed = time.perf_counter() - start
    while connection.execute(CONFIRMED).fetchone()[0] < orders + basket.WARM_UP or _behind(
        connection
    ):
        time.sleep(0.05)
    seconds = time.perf_counter() - start
    return {"orders_per_s": orders / seconds, "seconds": seconds, "placed_per_s": orders / placed}


def _place(connection, orders):
    with connection.cursor() as cursor:
        for number in range(orders):
            id_ = str(uuid.uuid4())
            placed = {
                "order_id": id_,
                "customer_id": "CUS-1",
                "total": basket.TOTAL,
                "currency": "USD",
                "items": basket.items(number),
            }
            _append(cursor, [("order-" + id_, 1, "OrderPlaced", placed)])


def _behind(connection):
    pairs = [(name, type_) for name, (types, _) in LANES.items() for type_ in types or ()]
    params = [name for name, _ in pairs], [type_ for _, type_ in pairs]
    return connection.execute(BEHIND, params).fetchone()[0]


def _work(stop):
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        while not stop.is_set():
            if not sum(_step(connection, name) for name in LANES):
                time.sleep(0.01)


def _step(connection, name):
    types, handle = LANES[name]
    with connection.transaction(), connection.cursor() as cursor:
        claimed = cursor.execute(CLAIM, (name,)).fetchone()
        if claimed is None:
            return 0
        fence = _fence(cursor)
        if fence <= claimed[0]:
            return 0
        if types is None:
            cursor.execute(READ_COMMANDS, (claimed[0], fence, name, BATCH))
        else:
            cursor.execute(READ_EVENTS, (claimed[0], fence, types, BATCH))
        rows = [
            (id_, key, decode(payload) if payload else None)
            for id_, key, payload in cursor.fetchall()
        ]
        if rows:
            handle(cursor, rows)
        cursor.execute(MOVE, (rows[-1][0] if len(rows) == BATCH else fence, name))
        return len(rows)


def _fence(cursor):
    last = cursor.execute(SEQUENCE, prepare=True).fetchone()[0]
    floor = cursor.execute(FLOOR, prepare=True).fetchone()[0]
    return last if floor is None else min(last, floor)


def _append(cursor, events, commands=()):
    if not events and not commands:
        return
    streams, versions, types, data = zip(*events, strict=True) if events else ((), (), (), ())
    lanes, keys, names, payloads = zip(*commands, strict=True) if commands else ((), (), (), ())
    cursor.execute(
        APPEND,
        (
            list(streams),
            list(versions),
            list(types),
            [_encode(each) for each in data],
            ['{"correlation":"c","causation":"k"}'] * len(events),
            [uuid.uuid4() for _ in events],
            list(lanes),
            list(keys),
            list(names),
            [_encode(each) for each in payloads],
        ),
        prepare=True,
    )


def _encode(value):
    return msgspec.json.encode(value).decode()


def _events(cursor, rows):
    cursor.execute(EVENTS, ([id_ for id_, _, _ in rows],))
    return [
        (stream, type_, decode(data), version) for stream, type_, data, version in cursor.fetchall()
    ]


def _load_rows(cursor, table, keys):
    cursor.execute(sql.SQL(LOAD_ROWS).format(sql.Identifier(table)), (keys,))
    return {key: decode(state) for key, state in cursor.fetchall()}


def _save_rows(cursor, table, rows):
    if rows:
        statement = sql.SQL(SAVE_ROWS).format(sql.Identifier(table))
        cursor.execute(statement, (list(rows), [_encode(row) for row in rows.values()]))


def _last_versions(cursor, streams):
    cursor.execute(LAST_VERSIONS, (streams,))
    return {stream: version or 0 for stream, version in cursor.fetchall()}


def _projection(table, key_of, types):
    def handle(cursor, rows):
        events = _events(cursor, rows)
        keys = list({key_of(event) for event in events})
        states = _load_rows(cursor, table, keys)
        for event in events:
            _, type_, data, version = event
            row = states.setdefault(key_of(event), {})
            row["status"], row["v"] = type_, version
            row.update(data if type_.endswith("Placed") else {})
        _save_rows(cursor, table, {key: states[key] for key in keys})

    return types, handle


def _saga(cursor, rows):
    events = _events(cursor, rows)
    states = _load_rows(cursor, "saga", list({data["order_id"] for _, _, data, _ in events}))
    commands = []
    for _, type_, data, _ in events:
        order = data["order_id"]
        state = states.setdefault(order, {})
        if type_ == "OrderPlaced":
            state.update(total=data["total"], items=data["items"], state="PAYMENT_PENDING")
            payload = {"order_id": order, "amount": data["total"]}
            commands.append(("payments", "payment-" + order, "ProcessPayment", payload))
        elif type_ == "PaymentCompleted":
            state["state"] = "INVENTORY_PENDING"
            payload = {"order_id": order, "items": state["items"]}
            commands.append(("inventory", order, "ReserveInventory", payload))
        elif type_ == "InventoryReserved":
            state["state"] = "SHIPPING_PENDING"
            commands.append(
                ("shipping", "shipment-" + order, "CreateShipment", {"order_id": order})
            )
        elif type_ == "ShipmentCreated":
            state["state"] = "CONFIRMING"
            commands.append(("orders", "order-" + order, "ConfirmOrder", {"order_id": order}))
        elif type_ == "OrderConfirmed":
            state["state"] = "COMPLETED"
    _save_rows(cursor, "saga", states)
    _append(cursor, [], commands)


def _single(type_):
    def handle(cursor, rows):
        streams = [key for _, key, _ in rows]
        cursor.execute(LOAD_STREAMS, (streams,))
        known = {stream: [] for stream in streams}
        for stream, stored, data in cursor.fetchall():
            known[stream].append((stored, decode(data)))
        events = []
        for _, key, payload in rows:
            events.append((key, len(known[key]) + 1, type_, payload))
            known[key].append((type_, payload))
        _append(cursor, events)

    return handle


def _payments(cursor, rows):
    """The request and the sandbox's answer in one step."""
    versions = _last_versions(cursor, [key for _, key, _ in rows])
    events = []
    for _, key, payload in rows:
        events.append((key, versions[key] + 1, "PaymentRequested", payload))
        events.append((key, versions[key] + 2, "PaymentCompleted", payload))
    _append(cursor, events)


def _inventory(cursor, rows):
    streams = list(
        {"stock-" + item["product_id"] for _, _, payload in rows for item in payload["items"]}
    )
    versions = _last_versions(cursor, streams)
    _load_rows(cursor, "p_stock", streams)
    events = []
    for _, _, payload in rows:
        order = payload["order_id"]
        for item in payload["items"]:
            sku = item["product_id"]
            stream = "stock-" + sku
            versions[stream] += 1
            reserved = {"order_id": order, "sku": sku, "quantity": item["quantity"]}
            events.append((stream, versions[stream], "StockReserved", reserved))
        events.append(("reservation-" + order, 1, "InventoryReserved", payload))
    _append(cursor, events)


# Lane: (the events that it hears, or None for the commands owed to it; its handler).
LANES = {
    "saga": (
        [
            "OrderPlaced",
            "PaymentCompleted",
            "InventoryReserved",
            "ShipmentCreated",
            "OrderConfirmed",
        ],
        _saga,
    ),
    "payments": (None, _payments),
    "inventory": (None, _inventory),
    "shipping": (None, _single("ShipmentCreated")),
    "orders": (None, _single("OrderConfirmed")),
    "p_order": _projection(
        "p_order",
        lambda event: event[2]["order_id"],
        ["OrderPlaced", "OrderConfirmed", "PaymentCompleted", "ShipmentCreated"],
    ),
    "p_stock": _projection("p_stock", lambda event: event[0], ["StockReserved"]),
    "p_payment": _projection(
        "p_payment", lambda event: event[0], ["PaymentRequested", "PaymentCompleted"]
    ),
    "p_shipment": _projection("p_shipment", lambda event: event[0], ["ShipmentCreated"]),
}
