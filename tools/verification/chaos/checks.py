"""Queries on the tables after the run; each returns the violations, so no row is a pass.

They read the log, the outbox, the read models and the provider's book by SQL alone. Of the clients'
log, `sent` has the commands and `response` the bodies of their responses; `stock_before` is the
stock before the load.
"""

LOST, DOUBLED, OVERSOLD, UNFINISHED, MONEY, WRONG = (
    "lost",
    "doubled",
    "oversold",
    "unfinished",
    "money_mismatch",
    "wrong",
)

# The provider's book: in the sandbox's own table, or inserted by the caller.
SANDBOX_BOOK = """
    CREATE TEMP TABLE entry AS SELECT key, kind, order_id, amount FROM payments_sandbox_entry
"""
EXTERNAL_BOOK = "CREATE TEMP TABLE entry(key text, kind text, order_id text, amount bigint)"

PREPARE = """
    CREATE TEMP TABLE sent(key text, customer text, kind text, outcome text, order_id text,
        subject text);
    CREATE TEMP TABLE response(key text, body text);
    CREATE TEMP TABLE stock_before(sku text, units bigint);
    CREATE TEMP TABLE logged AS
        SELECT position, id, stream, version, type, data, data->>'order_id' AS order_id,
            causation_id
        FROM eventstore_event;
    CREATE INDEX ON logged (order_id, type);
    CREATE INDEX ON logged (id);
    CREATE TEMP TABLE placed AS
        SELECT order_id, data->>'customer_id' AS customer, data->'address'->>'name' AS key,
               (data->'total'->>'amount')::bigint AS total, data->'lines' AS lines
        FROM logged WHERE type = 'orders.order_placed';
    CREATE TEMP TABLE ended AS
        SELECT order_id, type = 'orders.order_confirmed' AS confirmed
        FROM logged WHERE type IN ('orders.order_confirmed', 'orders.order_cancelled');
    CREATE TEMP TABLE book AS
        SELECT order_id, sum(amount) FILTER (WHERE kind = 'charge') AS captured,
               coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded,
               count(*) FILTER (WHERE kind = 'charge' AND amount > 0) AS captures
        FROM entry GROUP BY order_id;
    CREATE TEMP TABLE paid AS
        SELECT order_id, type, (data->'amount'->>'amount')::bigint AS amount FROM logged
            WHERE stream LIKE 'payment-%';
    CREATE TEMP TABLE requested AS
        SELECT order_id, CASE type WHEN 'payments.payment_requested' THEN 'charge'
            ELSE 'refund' END AS kind,
               id::text AS by_id, concat_ws(':', order_id, data->>'refund_id') AS by_name
        FROM logged
        WHERE type IN ('payments.payment_requested', 'payments.refund_requested',
            'payments.part_refund_requested');
    CREATE TEMP TABLE given_back AS
        SELECT order_id, sum(amount) AS amount FROM paid
        WHERE type IN ('payments.payment_refunded', 'payments.part_refunded') GROUP BY order_id;
    CREATE TEMP TABLE moved AS
        SELECT position, data->>'sku' AS sku, type, (data->>'quantity')::bigint AS quantity,
               CASE type WHEN 'inventory.stock_reserved' THEN -1
                   ELSE 1 END * (data->>'quantity')::bigint AS change
        FROM logged WHERE stream LIKE 'stock-%';
    CREATE TEMP TABLE shelved AS
        SELECT sku, max(position) AS position, sum(change) AS available,
               coalesce(-sum(change) FILTER (WHERE type IN ('inventory.stock_reserved',
                   'inventory.stock_released')), 0)
                   AS reserved,
               coalesce(sum(quantity) FILTER (WHERE type = 'inventory.stock_received'),
                   0) AS received,
               coalesce(sum(quantity) FILTER (WHERE type = 'inventory.stock_returned'),
                   0) AS returned
        FROM moved GROUP BY sku;
    CREATE TEMP TABLE meaning(type text, shown text, value text);
    INSERT INTO meaning VALUES
        ('orders.order_placed', 'status', 'PLACED'),
        ('orders.order_confirmed', 'status', 'CONFIRMED'),
        ('orders.order_cancelled', 'status', 'CANCELLED'),
        ('payments.payment_requested', 'payment', 'REQUESTED'),
        ('payments.payment_completed', 'payment', 'COMPLETED'),
        ('payments.payment_failed', 'payment', 'FAILED'),
        ('payments.refund_requested', 'payment', 'REFUNDING'),
        ('payments.payment_refunded', 'payment', 'REFUNDED'),
        ('payments.payment_voided', 'payment', 'VOIDED'),
        ('payments.part_refunded', 'payment', 'PARTLY_REFUNDED'),
        ('inventory.inventory_reserved', 'reservation', 'RESERVED'),
        ('inventory.inventory_reservation_failed', 'reservation', 'FAILED'),
        ('inventory.inventory_released', 'reservation', 'RELEASED'),
        ('shipping.shipment_requested', 'shipment', 'REQUESTED'),
        ('shipping.shipment_created', 'shipment', 'CREATED'),
        ('shipping.shipment_refused', 'shipment', 'REFUSED'),
        ('shipping.shipment_cancelled', 'shipment', 'CANCELLED');
    CREATE TEMP TABLE folded AS
        SELECT order_id, max(position) AS position,
               max(value) FILTER (WHERE shown = 'status') AS status,
               coalesce(max(value) FILTER (WHERE shown = 'payment'), 'NONE') AS payment,
               coalesce(max(value) FILTER (WHERE shown = 'reservation'), 'NONE') AS reservation,
               coalesce(max(value) FILTER (WHERE shown = 'shipment'), 'NONE') AS shipment
        FROM (
            SELECT DISTINCT ON (order_id, shown) order_id, shown, value, position
            FROM logged JOIN meaning USING (type) ORDER BY order_id, shown, position DESC
        ) AS last GROUP BY order_id;
    UPDATE folded SET payment = 'REFUNDED' FROM given_back JOIN placed USING (order_id)
        WHERE folded.order_id = given_back.order_id AND payment = 'PARTLY_REFUNDED'
            AND amount >= total;
    ANALYZE sent, logged, placed, ended, book, folded, shelved;
"""

# name -> (kind of the violation, query). One row for each violation; its first column names it.
CHECKS = {
    # The log.
    "versions are contiguous from 1": (
        WRONG,
        """
        SELECT stream FROM logged GROUP BY stream
        HAVING min(version) <> 1 OR max(version) <> count(*)
    """,
    ),
    "position follows version": (
        WRONG,
        """
        SELECT stream FROM (
            SELECT stream, position, lag(position) OVER (PARTITION BY stream
                ORDER BY version) AS before FROM logged
        ) AS steps WHERE before > position
    """,
    ),
    "a cause is in the log, and earlier": (
        WRONG,
        """
        SELECT logged.stream FROM logged LEFT JOIN logged AS cause ON cause.id = logged.causation_id
        WHERE logged.causation_id IS NOT NULL AND (cause.id IS NULL
            OR cause.position >= logged.position)
          AND logged.type <> 'chaos.counted'  -- its cause is an integration event
    """,
    ),
    "no amount is negative, and no quantity is zero": (
        WRONG,
        """
        SELECT stream FROM logged
        WHERE (data->'amount'->>'amount')::bigint < 0 OR (data->'total'->>'amount')::bigint < 0
           OR (data->>'quantity')::bigint <= 0
    """,
    ),
    # Delivery.
    "every event is in the outbox": (
        LOST,
        """
        SELECT stream FROM logged
        WHERE position > (SELECT position FROM eventstore_subscription
            WHERE name = 'eventstore.outbox')
          AND position NOT IN (SELECT position FROM eventstore_outbox)
    """,
    ),
    "every message to a subscription was delivered": (
        UNFINISHED,
        """
        SELECT outgoing.topic || ' ' || outgoing.key
        FROM eventstore_outbox AS outgoing JOIN eventstore_subscription AS subscription
            ON subscription.name = outgoing.topic
        WHERE outgoing.position > subscription.position
    """,
    ),
    "only the poison messages are parked": (
        UNFINISHED,
        """
        SELECT subscription || ' ' || key || ' ' || status FROM eventstore_parked
            WHERE key NOT LIKE 'poison-%'
    """,
    ),
    "order details have every event": (
        UNFINISHED,
        """
        SELECT order_id FROM folded LEFT JOIN orders_order_details AS shown USING (order_id)
        WHERE shown.position IS NULL OR shown.position < folded.position
    """,
    ),
    "order details are the fold of the log": (
        DOUBLED,
        """
        SELECT order_id FROM folded JOIN orders_order_details AS shown USING (order_id)
        LEFT JOIN given_back USING (order_id)
        WHERE shown.position >= folded.position AND (
            (shown.status, shown.payment_status, shown.reservation_status, shown.shipment_status,
                shown.refunded)
            IS DISTINCT FROM
            (folded.status, folded.payment, folded.reservation, folded.shipment,
                coalesce(given_back.amount, 0))
        )
    """,
    ),
    "order details show no order that is not in the log": (
        WRONG,
        """
        SELECT order_id FROM orders_order_details LEFT JOIN placed USING (order_id)
            WHERE placed.order_id IS NULL
    """,
    ),
    "stock levels have every event": (
        UNFINISHED,
        """
        SELECT sku FROM shelved LEFT JOIN inventory_stock_level AS shown USING (sku)
        WHERE shown.position IS NULL OR shown.position < shelved.position
    """,
    ),
    "stock levels have counted each event once": (
        DOUBLED,
        """
        SELECT sku FROM shelved JOIN inventory_stock_level AS shown USING (sku)
        WHERE shown.position >= shelved.position
          AND (shown.available, shown.reserved, shown.received, shown.returned)
              IS DISTINCT FROM (shelved.available, shelved.reserved, shelved.received,
                  shelved.returned)
    """,
    ),
    "no subscription has passed an event that its read model lacks": (
        LOST,
        """
        SELECT order_id FROM folded LEFT JOIN orders_order_details AS shown USING (order_id)
        JOIN eventstore_subscription AS subscription ON subscription.name = 'orders.details'
        WHERE subscription.position >= folded.position
            AND coalesce(shown.position, 0) < folded.position
        UNION ALL
        SELECT sku FROM shelved LEFT JOIN inventory_stock_level AS shown USING (sku)
        JOIN eventstore_subscription AS subscription ON subscription.name = 'inventory.stock_levels'
        WHERE subscription.position >= shelved.position
            AND coalesce(shown.position, 0) < shelved.position
    """,
    ),
    # The clients.
    "an order that was acknowledged is in the log": (
        LOST,
        """
        SELECT sent.key FROM sent LEFT JOIN placed USING (order_id, key, customer)
        WHERE sent.kind = 'place' AND sent.outcome = 'acked' AND placed.order_id IS NULL
    """,
    ),
    "a cancellation that was acknowledged is in the log": (
        LOST,
        """
        SELECT sent.key FROM sent
        WHERE sent.kind = 'cancel' AND sent.outcome = 'acked' AND NOT EXISTS (
            SELECT FROM logged WHERE logged.order_id = sent.order_id
                AND logged.type = 'orders.order_cancelled'
        )
    """,
    ),
    "a return that was acknowledged is in the log": (
        LOST,
        """
        SELECT sent.key FROM sent
        WHERE sent.kind IN ('return', 'receive') AND sent.outcome = 'acked' AND NOT EXISTS (
            SELECT FROM logged WHERE logged.stream = 'return-' || sent.subject AND logged.type =
                CASE sent.kind WHEN 'return' THEN 'orders.return_requested'
                    ELSE 'orders.goods_returned' END
        )
    """,
    ),
    "one key, one return": (
        DOUBLED,
        """
        SELECT order_id FROM logged WHERE type = 'orders.return_requested'
        GROUP BY order_id HAVING count(*) > 1
    """,
    ),
    "one key, one order": (DOUBLED, "SELECT key FROM placed GROUP BY key HAVING count(*) > 1"),
    "one key, one response": (
        DOUBLED,
        "SELECT key FROM response GROUP BY key HAVING count(DISTINCT body) > 1",
    ),
    "every order was requested by its customer": (
        WRONG,
        """
        SELECT placed.order_id FROM placed LEFT JOIN sent USING (key, customer)
            WHERE sent.key IS NULL
    """,
    ),
    "a rejected command had no effect": (
        WRONG,
        """
        SELECT placed.order_id FROM placed JOIN sent USING (key) WHERE sent.outcome = 'refused'
        UNION ALL
        SELECT logged.order_id FROM logged JOIN sent USING (order_id)
        WHERE sent.kind = 'return' AND sent.outcome = 'refused'
            AND logged.type = 'orders.return_requested'
    """,
    ),
    # The process.
    "every order has ended": (
        UNFINISHED,
        """
        SELECT order_id FROM placed LEFT JOIN ended USING (order_id) WHERE ended.order_id IS NULL
    """,
    ),
    "no open order is forgotten": (
        UNFINISHED,
        """
        SELECT order_id FROM placed LEFT JOIN ended USING (order_id)
        WHERE ended.order_id IS NULL
          AND NOT EXISTS (SELECT FROM eventstore_parked WHERE key LIKE '%' || order_id)
          AND NOT EXISTS (
              SELECT FROM eventstore_outbox AS outgoing JOIN eventstore_subscription AS subscription
                  ON subscription.name = outgoing.topic
              WHERE outgoing.position > subscription.position AND outgoing.key LIKE '%' || order_id
          )
    """,
    ),
    "no order has ended twice": (
        DOUBLED,
        "SELECT order_id FROM ended GROUP BY order_id HAVING count(*) > 1",
    ),
    "an ended order has no later events except of returns": (
        WRONG,
        """
        SELECT later.stream FROM logged AS later JOIN logged AS last USING (stream)
        WHERE last.type IN ('orders.order_confirmed', 'orders.order_cancelled')
            AND later.version > last.version
          AND later.type NOT IN ('orders.return_promised', 'orders.return_forgone')
    """,
    ),
    "every process has ended": (
        UNFINISHED,
        """
        SELECT key || ' ' || status FROM eventstore_saga
        WHERE saga = 'orders.fulfilment' AND status NOT IN ('COMPLETED', 'COMPENSATED')
    """,
    ),
    "every return with received goods is refunded": (
        UNFINISHED,
        """
        SELECT data->>'return_id' || ' ' || coalesce(process.status, 'has no process') FROM logged
        LEFT JOIN eventstore_saga AS process
            ON process.saga = 'orders.returning' AND process.key = logged.data->>'return_id'
        WHERE logged.type = 'orders.goods_returned' AND process.status IS DISTINCT FROM 'COMPLETED'
    """,
    ),
    "every order has one process": (
        UNFINISHED,
        """
        SELECT order_id FROM placed
        LEFT JOIN eventstore_saga AS process ON process.saga = 'orders.fulfilment'
            AND process.key = order_id
        GROUP BY order_id HAVING count(process.key) <> 1
    """,
    ),
    # The money.
    "the provider's book matches the log": (
        MONEY,
        """
        SELECT order_id FROM (
            SELECT order_id,
                   sum(amount) FILTER (WHERE type = 'payments.payment_completed') AS captured
            FROM paid GROUP BY order_id
        ) AS charged LEFT JOIN given_back USING (order_id) FULL JOIN book USING (order_id)
        WHERE (coalesce(charged.captured, 0), coalesce(given_back.amount, 0))
            <> (coalesce(book.captured, 0), coalesce(book.refunded, 0))
    """,
    ),
    "a confirmed order paid its total less its returns, any other order nothing": (
        MONEY,
        """
        SELECT order_id FROM placed JOIN ended USING (order_id) LEFT
            JOIN book USING (order_id) LEFT JOIN (
            SELECT order_id, sum((data->'refund'->>'amount')::bigint) AS amount
            FROM logged WHERE type = 'orders.goods_returned' GROUP BY order_id
        ) AS came_back USING (order_id)
        WHERE coalesce(captured - refunded, 0)
            <> CASE WHEN confirmed THEN total - coalesce(came_back.amount, 0) ELSE 0 END
    """,
    ),
    "no return was refunded twice": (
        DOUBLED,
        """
        SELECT data->>'refund_id' FROM logged WHERE type = 'payments.part_refunded'
        GROUP BY data->>'refund_id' HAVING count(*) > 1
    """,
    ),
    "no order was charged twice": (DOUBLED, "SELECT order_id FROM book WHERE captures > 1"),
    "no order was refunded more than it was charged": (
        MONEY,
        "SELECT order_id FROM book WHERE refunded > captured",
    ),
    "every call to the provider has the idempotency key of a request in the log": (
        DOUBLED,
        """
        SELECT entry.order_id FROM entry
        WHERE NOT EXISTS (
            SELECT FROM requested
            WHERE requested.order_id = entry.order_id AND requested.kind = entry.kind
              AND entry.key IN (by_id, requested.kind || ':' || by_name)
        )
    """,
    ),
    # The goods.
    "stock was never negative": (
        OVERSOLD,
        """
        SELECT DISTINCT sku FROM (
            SELECT sku, sum(change) OVER (PARTITION BY sku ORDER BY position) AS available
                FROM moved
        ) AS steps WHERE available < 0
    """,
    ),
    "every unit is in stock or reserved for one order": (
        OVERSOLD,
        """
        SELECT sku FROM stock_before LEFT JOIN shelved USING (sku) LEFT JOIN (
            SELECT line->>'sku' AS sku, sum((line->>'quantity')::bigint) AS held
            FROM placed JOIN folded USING (order_id), json_array_elements(lines) AS line
            WHERE reservation = 'RESERVED' GROUP BY line->>'sku'
        ) AS held USING (sku)
        WHERE units + returned <> coalesce(available, 0) + coalesce(held, 0)
    """,
    ),
    "goods are reserved exactly for confirmed orders": (
        OVERSOLD,
        """
        SELECT order_id FROM placed JOIN ended USING (order_id) LEFT JOIN folded USING (order_id)
        WHERE confirmed <> (coalesce(reservation, 'NONE') = 'RESERVED')
    """,
    ),
    "each confirmed order has a parcel, and no other order has one": (
        DOUBLED,
        """
        SELECT order_id FROM placed JOIN ended USING (order_id) LEFT JOIN folded USING (order_id)
        WHERE confirmed <> (coalesce(shipment, 'NONE') = 'CREATED')
    """,
    ),
}
