"""Answers under an idempotency key: claimed, decided and kept by one statement, so that a crash leaves nothing."""

import django.db.models.functions.datetime
from django.db import migrations, models

# The class id of our advisory locks lives in the upper 16 bits of the key: 0xE7 for answers.
FORWARD = """
CREATE FUNCTION eventstore_append_once(
    answer jsonb, events jsonb, messages jsonb,
    OUT running boolean, OUT earlier text, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
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

    IF events IS NOT NULL OR messages IS NOT NULL THEN
        SELECT appended.positions, appended.versions INTO positions, versions
        FROM eventstore_append(events, messages) AS appended;
    END IF;

    -- The position is known only now. A quotation mark within a text has a backslash before it, so this is no text.
    INSERT INTO eventstore_given_answer (scope, fingerprint, status, headers, body)
    SELECT given.scope, given.fingerprint, given.status, given.headers, replace(
        given.body, '"position":null', '"position":' || coalesce(positions[cardinality(positions)], 0)
    )
    FROM jsonb_populate_record(NULL::eventstore_given_answer, answer) AS given;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0006_streams")]

    operations = [
        migrations.CreateModel(
            name="GivenAnswer",
            fields=[
                ("scope", models.TextField(db_collation="C", primary_key=True, serialize=False)),
                ("fingerprint", models.TextField(db_collation="C")),
                ("status", models.SmallIntegerField()),
                ("headers", models.JSONField()),
                ("body", models.TextField()),
                ("given_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "eventstore_given_answer",
                "indexes": [models.Index(fields=["given_at"], name="eventstore_answer_given")],
            },
        ),
        migrations.RunSQL(FORWARD, "DROP FUNCTION eventstore_append_once(jsonb, jsonb, jsonb);"),
    ]
