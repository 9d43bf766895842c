"""The append functions as they are today.

What is new in them, each with its reason in docs/adr/0022-what-an-append-refuses.md:

- a position at or before one that was read or used already is refused, as is any isolation but read committed;
- one fence lock for each transaction, and a bounded number of locks on streams;
- the same append made twice at one moment has the first answer, however the two interleave;
- streams are written in one order, and premises hold until the commit.
"""

from importlib import import_module

from django.db import migrations, models

BEFORE_17 = import_module("eventstore.migrations.0017_kept_as_written")
BEFORE_20 = import_module("eventstore.migrations.0020_on_premises")
BEFORE_23 = import_module("eventstore.migrations.0023_the_fence_in_an_expression")

# Errors of our own begin with ES; store/refusing.py names them.
REFUSALS = """
CREATE FUNCTION eventstore_refuse_isolation() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an append needs the isolation read committed, not %', current_setting('transaction_isolation')
        USING ERRCODE = 'ES003', HINT = 'Begin the transaction as READ COMMITTED.';
END $$;

CREATE FUNCTION eventstore_refuse_position(given bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
BEGIN
    SELECT greatest(
        (SELECT max(position) FROM eventstore_event),
        (SELECT max(position) FROM eventstore_outbox),
        (SELECT max(position) FROM eventstore_subscription)
    ) INTO reached;
    RAISE EXCEPTION 'the sequence eventstore_position gave out %, and % is read or used already', given, reached
        USING ERRCODE = 'ES011', HINT = 'manage.py restart_sequence',
              DETAIL = json_build_object('position', given, 'reached', reached);
END $$;

-- Why a list of events could not be written, or not all of it. written: the positions that were, which do not count.
CREATE FUNCTION eventstore_refuse_events(events json, written bigint[], given bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    conflict record;
BEGIN
    SELECT sent.stream, sent.expected, coalesce(last.version, 0) AS actual INTO conflict
    FROM json_to_recordset(events) AS sent(stream text, expected integer)
    LEFT JOIN LATERAL (
        SELECT stored.version FROM eventstore_event AS stored
        WHERE stored.stream = sent.stream AND stored.position <> ALL (coalesce(written, '{}'))
        ORDER BY stored.version DESC
        LIMIT 1
    ) AS last ON true
    WHERE sent.expected IS NOT NULL AND sent.expected <> coalesce(last.version, 0)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'another writer was first' USING ERRCODE = 'ES001', DETAIL = row_to_json(conflict);
    END IF;

    SELECT sent.id INTO conflict
    FROM json_to_recordset(events) AS sent(id uuid)
    LEFT JOIN eventstore_event AS stored ON stored.id = sent.id AND stored.position <> ALL (coalesce(written, '{}'))
    GROUP BY sent.id
    HAVING count(*) > 1 OR count(stored.id) > 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the event id % is taken (eventstore_event_id)', conflict.id USING ERRCODE = 'unique_violation';
    END IF;

    SELECT sent.stream, sent.version INTO conflict
    FROM json_to_recordset(events) AS sent(stream text, version integer)
    WHERE sent.version IS DISTINCT FROM 1
      AND NOT EXISTS (
        SELECT FROM json_to_recordset(events) AS before(stream text, version integer)
        WHERE before.stream = sent.stream AND before.version = sent.version - 1
      )
      AND NOT EXISTS (
        SELECT FROM eventstore_event AS before
        WHERE before.stream = sent.stream AND before.version = sent.version - 1
      )
      OR (
        SELECT count(*) > 1 FROM json_to_recordset(events) AS twice(stream text, version integer)
        WHERE twice.stream = sent.stream AND twice.version = sent.version
      )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'version % of % does not follow the one before it', conflict.version, conflict.stream
            USING ERRCODE = 'ES013';
    END IF;

    PERFORM eventstore_refuse_position(given);
END $$;
"""

# What every appender does first. A reader sees the lock until the appender's commit is visible.
#
# A lock of any number that is no higher than the sequence's last value is right, if it is taken before a position is.
# So the third append of a transaction takes the lock of the second once more, which needs no memory, instead of one of
# its own. The number is remembered by a setting that lives as long as the lock does: a savepoint that is rolled back
# takes back both. Nothing rests on the setting but the number of locks: what it says is bounded, and the lock is taken.
#
# The first append of a transaction, before which nothing was written, remembers nothing: mostly there is no second one.
TAKE_FENCE = """
CREATE FUNCTION eventstore_first_fence(last bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first text;
BEGIN
    first := current_setting('eventstore.first_fence', true);
    IF first IS NULL OR first = '' THEN
        first := set_config('eventstore.first_fence', last::text, true);
    END IF;
    RETURN greatest(0, least(first::bigint, last));
END $$;

CREATE OR REPLACE FUNCTION eventstore_take_fence() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | CASE
        WHEN current_setting('transaction_isolation') <> 'read committed' THEN eventstore_refuse_isolation()
        WHEN pg_current_xact_id_if_assigned() IS NULL
            THEN coalesce(pg_sequence_last_value('eventstore_position'), 0)
        ELSE eventstore_first_fence(coalesce(pg_sequence_last_value('eventstore_position'), 0))
    END)
$$;
"""

# The ordinary append of a command: no list to take apart, and so half the work. NULL: it could not be written, and
# eventstore_append knows why.
#
# Whatever this statement sees in the log has a lower position than the one that it is given, and so has every cursor,
# for none passes our fence. Both are looked for from that position on, where there is nothing to walk along; so much
# costs a tenth of what the server does. One statement in place of two gives a third of that back.
APPEND_ONE = """
CREATE OR REPLACE FUNCTION eventstore_append_one(
    stream text, version integer, id uuid, type text, schema_version smallint,
    data json, correlation_id uuid, causation_id uuid, metadata json
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
    passed boolean;
    taken text;
BEGIN
    taken := eventstore_take_fence();
    IF version > 1 THEN
        IF NOT EXISTS (
            SELECT FROM eventstore_event AS before
            WHERE before.stream = eventstore_append_one.stream AND before.version = eventstore_append_one.version - 1
        ) THEN
            RETURN NULL;
        END IF;
    END IF;

    WITH written AS (
        INSERT INTO eventstore_event (
            position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
        )
        VALUES (
            nextval('eventstore_position'), id, stream, version, type, schema_version,
            data, correlation_id, causation_id, metadata
        )
        ON CONFLICT DO NOTHING
        RETURNING eventstore_event.position
    )
    INSERT INTO eventstore_outbox AS owed (position, topic, key, type)
    SELECT written.position, 'event', stream, type FROM written
    RETURNING owed.position,
        EXISTS (SELECT FROM eventstore_subscription AS lane WHERE lane.position >= owed.position)
        OR EXISTS (SELECT FROM eventstore_event AS later WHERE later.position > owed.position)
    INTO written, passed;
    IF passed THEN
        PERFORM eventstore_refuse_position(written);
    END IF;
    RETURN written;
END $$;
"""

# Positions are given in the order of the list, and rows are written in the order of streams, so that two appends over
# the same streams cannot wait for one another.
APPEND = """
CREATE OR REPLACE FUNCTION eventstore_append(
    events json, messages json, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    taken text;
    passed boolean;
    first bigint;
BEGIN
    taken := eventstore_take_fence();

    IF events IS NOT NULL THEN
        WITH sent AS MATERIALIZED (
            SELECT *, lag(version) OVER (PARTITION BY stream ORDER BY version) AS before
            FROM (
                SELECT nextval('eventstore_position') AS position, *
                FROM json_to_recordset(events) AS given(
                    stream text, version integer, expected integer, id uuid, type text, schema_version smallint,
                    data json, correlation_id uuid, causation_id uuid, metadata json
                )
            ) AS numbered
        ), gaps AS (
            SELECT FROM sent
            WHERE version > 1 AND before IS DISTINCT FROM version - 1 AND NOT EXISTS (
                SELECT FROM eventstore_event AS previous
                WHERE previous.stream = sent.stream AND previous.version = sent.version - 1
            )
        ), written AS (
            INSERT INTO eventstore_event (
                position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
            )
            SELECT position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
            FROM sent
            WHERE NOT EXISTS (SELECT FROM gaps)
            ORDER BY stream, version
            ON CONFLICT DO NOTHING
            RETURNING position, version, stream, type
        ), announced AS (
            INSERT INTO eventstore_outbox (position, topic, key, type)
            SELECT position, 'event', stream, type FROM written
        )
        SELECT array_agg(written.position ORDER BY position), array_agg(written.version ORDER BY position),
            (SELECT min(position) FROM sent),
            EXISTS (SELECT FROM eventstore_event AS later WHERE later.position > (SELECT min(position) FROM sent))
            OR EXISTS (
                SELECT FROM eventstore_subscription AS lane WHERE lane.position >= (SELECT min(position) FROM sent)
            )
        INTO positions, versions, first, passed
        FROM written;

        IF positions IS NULL THEN
            -- Either the very same events are there already (then this append is a repeat), or another was first.
            SELECT array_agg(stored.position ORDER BY place), array_agg(stored.version ORDER BY place)
            INTO positions, versions
            FROM ROWS FROM (json_to_recordset(events) AS (stream text, version integer, id uuid))
                WITH ORDINALITY AS sent(stream, version, id, place)
            JOIN eventstore_event AS stored USING (stream, version, id);
            IF coalesce(cardinality(positions), 0) = json_array_length(events) THEN
                RETURN;
            END IF;
            positions := NULL;
        END IF;
        IF coalesce(cardinality(positions), 0) < json_array_length(events) THEN
            PERFORM eventstore_refuse_events(events, positions, first);
        END IF;
        IF passed THEN
            PERFORM eventstore_refuse_position(first);
        END IF;
    END IF;

    IF messages IS NOT NULL THEN
        WITH written AS (
            INSERT INTO eventstore_outbox (position, topic, key, type, id, payload, metadata)
            SELECT nextval('eventstore_position'), topic, key, type, id, payload, metadata
            FROM ROWS FROM (json_to_recordset(messages) AS (
                topic text, key text, type text, id uuid, payload json, metadata json
            )) WITH ORDINALITY AS owed(topic, key, type, id, payload, metadata, place)
            ORDER BY place
            RETURNING position
        )
        SELECT min(written.position),
            EXISTS (SELECT FROM eventstore_event AS later WHERE later.position > min(written.position))
            OR EXISTS (SELECT FROM eventstore_subscription AS lane WHERE lane.position >= min(written.position))
        INTO first, passed
        FROM written;
        IF passed THEN
            PERFORM eventstore_refuse_position(first);
        END IF;
    END IF;
END $$;
"""

# A transaction of many streams would fill the server's table of locks, and then all others are refused. So what it has
# locked is counted, by a setting that is rolled back with the locks.
COUNT_LOCKS = """
CREATE FUNCTION eventstore_count_locks(more bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    locked bigint;
BEGIN
    locked := more + greatest(0, coalesce(nullif(current_setting('eventstore.locked', true), '')::bigint, 0));
    IF now() <> statement_timestamp() OR pg_current_xact_id_if_assigned() IS NOT NULL THEN
        PERFORM set_config('eventstore.locked', locked::text, true);
    END IF;
    RETURN locked;
END $$;
"""

# Without knowing the version: a lock on the streams concerned, never a wider one, then the ordinary append. A
# transaction that has locked 256 tries without, and takes a lock where it met a rival.
APPEND_OPEN = """
CREATE OR REPLACE FUNCTION eventstore_append_open(
    events json, messages json, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    missing text;
    resolved json;
    locked bigint;
BEGIN
    SELECT eventstore_count_locks(count(DISTINCT stream)) INTO locked
    FROM json_to_recordset(events) AS sent(stream text, expected integer)
    WHERE expected < 0;
    FOR attempt IN 1..10 LOOP
        IF attempt > 1 OR locked <= 256 THEN
            -- Sorted, so that two appends over the same streams cannot wait for one another.
            PERFORM pg_advisory_xact_lock((x'E6'::bigint << 48) | (hashtextextended(stream, 0) & ((1::bigint << 48) - 1)))
            FROM (
                SELECT DISTINCT stream FROM json_to_recordset(events) AS sent(stream text, expected integer)
                WHERE expected < 0 ORDER BY 1
            ) AS open;
        END IF;

        -- In one statement, and so at one moment: what of it is there already, and where the streams stand. A stream
        -- whose version is named keeps it.
        SELECT array_agg(stored.position ORDER BY place) FILTER (WHERE stored.position IS NOT NULL),
            array_agg(stored.version ORDER BY place) FILTER (WHERE stored.position IS NOT NULL),
            min(sent.stream) FILTER (WHERE sent.expected = -2 AND base.version = 0),
            json_agg(json_build_object(
                'stream', sent.stream, 'version', coalesce(sent.version, base.version + sent.step),
                'expected', CASE
                    WHEN sent.version IS NOT NULL THEN sent.expected WHEN sent.step = 1 THEN base.version
                END,
                'id', sent.id, 'type', sent.type, 'schema_version', sent.schema_version, 'data', sent.data,
                'correlation_id', sent.correlation_id, 'causation_id', sent.causation_id, 'metadata', sent.metadata
            ) ORDER BY place)
        INTO positions, versions, missing, resolved
        FROM (
            SELECT *, row_number() OVER (PARTITION BY stream ORDER BY place) AS step
            FROM ROWS FROM (json_to_recordset(events) AS (
                stream text, version integer, expected integer, id uuid, type text, schema_version smallint,
                data json, correlation_id uuid, causation_id uuid, metadata json
            )) WITH ORDINALITY AS sent(
                stream, version, expected, id, type, schema_version,
                data, correlation_id, causation_id, metadata, place
            )
        ) AS sent
        CROSS JOIN LATERAL (
            SELECT coalesce(max(version), 0) AS version FROM eventstore_event WHERE stream = sent.stream
        ) AS base
        LEFT JOIN LATERAL (
            SELECT position, version FROM eventstore_event AS stored
            WHERE stored.id = sent.id AND stored.stream = sent.stream LIMIT 1
        ) AS stored ON true;

        IF cardinality(positions) = json_array_length(events) THEN
            RETURN;
        END IF;
        IF missing IS NOT NULL THEN
            RAISE EXCEPTION 'the stream does not exist' USING ERRCODE = 'ES001',
                DETAIL = json_build_object('stream', missing, 'expected', -2, 'actual', 0);
        END IF;

        BEGIN
            SELECT appended.positions, appended.versions INTO positions, versions
            FROM eventstore_append(resolved, messages) AS appended;
            RETURN;
        EXCEPTION WHEN SQLSTATE 'ES001' THEN
            -- Only a writer that takes no lock, for it names its version, can have come between.
            IF attempt = 10 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;
"""

APPEND_ONCE = """
CREATE OR REPLACE FUNCTION eventstore_append_once(
    answer jsonb, events json, messages json,
    OUT running boolean, OUT earlier text, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    -- Never waits: who is not alone is told so, and the lock goes with the transaction, however that ends.
    running := NOT pg_try_advisory_xact_lock(
        (x'E7'::bigint << 48) | (hashtextextended(answer->>'scope', 0) & ((1::bigint << 48) - 1))
    );
    IF running THEN
        RETURN;
    END IF;

    -- A statement of its own, after the lock: it sees what was committed under the lock before.
    SELECT row_to_json(given) INTO earlier
    FROM eventstore_given_answer AS given
    WHERE given.scope = answer->>'scope';
    IF FOUND THEN
        RETURN;
    END IF;

    -- The short way for what a command decides most often; without an answer, eventstore_append knows why.
    IF messages IS NULL AND json_array_length(events) = 1 THEN
        SELECT ARRAY[eventstore_append_one(
            stream, version, id, type, schema_version, data, correlation_id, causation_id, metadata
        )], ARRAY[version] INTO positions, versions
        FROM json_to_record(events->0) AS sent(
            stream text, version integer, id uuid, type text, schema_version smallint,
            data json, correlation_id uuid, causation_id uuid, metadata json
        );
    END IF;
    IF positions[1] IS NULL AND (events IS NOT NULL OR messages IS NOT NULL) THEN
        SELECT appended.positions, appended.versions INTO positions, versions
        FROM eventstore_append(events, messages) AS appended;
    END IF;

    -- The position is known only now. A quotation mark within a text has a backslash before it, so this is no text.
    last := positions[1];
    IF cardinality(positions) > 1 THEN
        SELECT max(position) INTO last FROM unnest(positions) AS position;
    END IF;
    INSERT INTO eventstore_given_answer (scope, fingerprint, status, headers, body)
    SELECT given.scope, given.fingerprint, given.status, given.headers, replace(
        given.body, '"position":null', '"position":' || coalesce(last, 0)
    )
    FROM jsonb_populate_record(NULL::eventstore_given_answer, answer) AS given;
END $$;
"""

# premises: stream -> the version that must be its last one (-2: any, but the stream is there), or null for a stream
# that this append writes. Two appends that are each decided on a stream which the other one writes must not both come
# through. So each holds the streams that it writes against those that read them until its commit, and looks only then.
# Who reads the same stream, such as a product of the catalogue, shares it; an append without premises takes no lock.
#
# A transaction that has locked many streams locks all of them at once instead, by a number that others only share.
ON_PREMISES = """
CREATE FUNCTION eventstore_lock_premises(premises json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    taken text;
BEGIN
    -- A premise has 11 characters at least: few need not be counted.
    IF octet_length(premises::text) > 16 * 11 OR pg_current_xact_id_if_assigned() IS NOT NULL THEN
        IF (SELECT eventstore_count_locks(count(*)) > 256 FROM json_object_keys(premises)) THEN
            taken := pg_advisory_xact_lock(x'E8'::bigint << 48);
            RETURN;
        END IF;
    END IF;
    taken := pg_advisory_xact_lock_shared(x'E8'::bigint << 48);
    -- Sorted, so that two appends cannot wait for one another; and what is written first, where two streams have a number.
    PERFORM CASE WHEN alone THEN pg_advisory_xact_lock(key) ELSE pg_advisory_xact_lock_shared(key) END
    FROM (
        SELECT (x'E8'::bigint << 48) | (hashtextextended(key, 0) & ((1::bigint << 48) - 1)) AS key, value IS NULL AS alone
        FROM json_each_text(premises)
        ORDER BY 1, 2 DESC
    ) AS locks;
END $$;

CREATE OR REPLACE FUNCTION eventstore_on_premises(premises json, INOUT events json) LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    PERFORM eventstore_lock_premises(premises);
    -- A statement of its own, after the locks: it sees what was committed under them before.
    SELECT premise.key AS stream, premise.value::integer AS expected, coalesce(newest.version, 0) AS actual INTO changed
    FROM json_each_text(premises) AS premise
    LEFT JOIN LATERAL (
        SELECT event.version
        FROM eventstore_event AS event
        WHERE event.stream = premise.key
        ORDER BY event.version DESC
        LIMIT 1
    ) AS newest ON true
    WHERE CASE premise.value::integer
        WHEN -2 THEN newest.version IS NULL
        ELSE premise.value::integer <> coalesce(newest.version, 0)
    END
    LIMIT 1;
    -- What is said again because its answer was lost was right when it was said first.
    IF FOUND AND NOT EXISTS (
        SELECT FROM json_to_recordset(events) AS sent(stream text, version integer, id uuid)
        JOIN eventstore_event USING (stream, id)
    ) THEN
        RAISE EXCEPTION 'another writer was first' USING ERRCODE = 'ES001', DETAIL = row_to_json(changed);
    END IF;
END $$;
"""

BACKWARD = f"""
DROP FUNCTION eventstore_on_premises(json, json);
DROP FUNCTION eventstore_lock_premises(json);
DROP FUNCTION eventstore_append_once(jsonb, json, json);
DROP FUNCTION eventstore_append_open(json, json);
DROP FUNCTION eventstore_append(json, json);
{BEFORE_17.APPEND}
{BEFORE_17.APPEND_OPEN}
{BEFORE_17.APPEND_ONCE}
{BEFORE_20.FORWARD}
{BEFORE_23.APPEND_ONE}
{BEFORE_23.TAKE_FENCE}
DROP FUNCTION eventstore_count_locks(bigint);
DROP FUNCTION eventstore_first_fence(bigint);
DROP FUNCTION eventstore_refuse_events(json, bigint[], bigint);
DROP FUNCTION eventstore_refuse_position(bigint);
DROP FUNCTION eventstore_refuse_isolation();
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0025_guards_that_heed_no_setting")]
    operations = [
        # Asked by each append: is any cursor at its position, or behind it?
        migrations.AddIndex("subscription", models.Index(fields=["position"], name="eventstore_cursor_position")),
        migrations.RunSQL(migrations.RunSQL.noop, BACKWARD),
        *(
            migrations.RunSQL(each, migrations.RunSQL.noop)
            for each in (REFUSALS, TAKE_FENCE, COUNT_LOCKS, APPEND_ONE, APPEND, APPEND_OPEN, APPEND_ONCE, ON_PREMISES)
        ),
    ]
