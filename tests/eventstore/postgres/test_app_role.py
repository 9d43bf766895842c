"""The role that the application runs as appends to the log, and can do nothing else to it."""

import json

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from eventstore import codec, log
from eventstore.commands import bus
from eventstore.log import ANY, NO_STREAM, append, append_all
from eventstore.models import Event
from eventstore.testing import drain
from tests import rights
from tests.eventstore.concurrently import parameters
from tests.eventstore.toy import Count, Counted, Tally

ROLE = "eventstore_test_app"

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def role(toys):
    call_command("app_role", ROLE, verbosity=0)
    yield ROLE
    rights.drop(ROLE)


@pytest.fixture
def as_role(role):
    """The test's own connection, with the rights of the role."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")


def test_it_appends_and_delivers(as_role):
    append("counter-a", [Counted("a", 4)], expected=ANY)
    drain()
    assert Tally.objects.get().total == 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE eventstore_event SET data = '{}'",
        "DELETE FROM eventstore_event",
        "TRUNCATE eventstore_event",
        "TRUNCATE eventstore_outbox",
        "UPDATE eventstore_outbox SET key = 'x'",
        "UPDATE eventstore_operator_action SET who = 'nobody'",
        "DELETE FROM eventstore_operator_action",
        "SELECT setval('eventstore_position', 1)",
        "SELECT nextval('eventstore_position')",
        "INSERT INTO eventstore_event SELECT * FROM eventstore_event",
        (
            "INSERT INTO eventstore_outbox (position, topic, key, type) VALUES (1, 'event', 'a',"
            " 'toy.counted')"
        ),
        "SELECT eventstore_take_fence()",
        "SELECT eventstore_lock_condition('{}')",
        *(
            f"SELECT pg_{way}((x'E5'::bigint << 48))"
            for way in (
                "advisory_lock",
                "advisory_lock_shared",
                "advisory_xact_lock",
                "advisory_xact_lock_shared",
                "try_advisory_lock",
                "try_advisory_lock_shared",
                "try_advisory_xact_lock",
                "try_advisory_xact_lock_shared",
            )
        ),
        "ALTER TABLE eventstore_event DISABLE TRIGGER ALL",
        "DROP TABLE eventstore_event",
    ],
)
def test_it_cannot_change_or_remove_what_was_recorded(role, statement):
    with psycopg.connect(**parameters(), autocommit=True) as another:
        another.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            another.execute(statement)


def test_whoever_owns_the_log_is_not_said_to_be_unable_to_change_it():
    """Or may become its owner; its rights stay as they were, or the next migration would find
    none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (owner,) = cursor.fetchone()
        cursor.execute(f"CREATE ROLE {ROLE}; GRANT {owner} TO {ROLE}")
    try:
        for each in (owner, ROLE):
            with pytest.raises(CommandError, match="can change the log"):
                call_command("app_role", each)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP ROLE {ROLE}")


def test_making_it_again_brings_its_rights_up_to_date(role):
    call_command("app_role", role, verbosity=0)


def test_who_may_not_make_roles_is_told_so_in_a_sentence(as_role):
    with pytest.raises(CommandError, match="Creating the role failed: permission denied"):
        call_command("app_role", "eventstore_test_other")


class TestWhatTheFunctionsTake:
    """An append is all that the role can do to the log, and only as the function lets it."""

    def test_every_way_of_appending_is_open_to_it(self, as_role):
        append("counter-a", [Counted("a", 1)], expected=NO_STREAM)
        append("counter-a", [Counted("a", 2)], expected=1)
        append_all(
            {
                "counter-a": (ANY, [Counted("a", 3)]),
                "counter-b": (0, [Counted("b", 1), Counted("b", 2)]),
            }
        )
        bus.enqueue([Count("a", 4)])
        events = log.new_events(
            "counter-c", [Counted("c", 1)], expected=0, metadata=log.current_metadata()
        )
        log.write(events, condition=log.AppendCondition(None, {"counter-a": 3}))
        answer = {"scope": "s", "fingerprint": "", "status": 202, "headers": {}, "body": "{}"}
        assert log.write_once(json.dumps(answer), (), ()).earlier is None
        drain()
        assert Tally.objects.get(counter_id="a").total == 10

    @pytest.mark.parametrize("field", ["position", "recorded_at"])
    def test_position_and_time_are_not_the_callers_to_say(self, as_role, field):
        given = {"position": 10**9, "recorded_at": "2001-01-01T00:00:00Z"}[field]
        (event,) = log.new_events(
            "counter-a", [Counted("a")], expected=0, metadata=log.current_metadata()
        )
        row = json.loads(codec.encode_json(event)) | {field: given}
        with connection.cursor() as cursor:
            cursor.execute("SELECT eventstore_append(%s::json, NULL)", [json.dumps([row])])
        recorded = Event.objects.get()
        assert recorded.position < 10**9
        assert recorded.recorded_at.year > 2020

    def test_nor_is_a_version_that_does_not_follow(self, as_role):
        (event,) = log.new_events(
            "counter-a", [Counted("a")], expected=6, metadata=log.current_metadata()
        )
        row = json.loads(codec.encode_json(event)) | {"expected": None}
        with connection.cursor() as cursor, pytest.raises(DatabaseError, match="does not follow"):
            cursor.execute("SELECT eventstore_append(%s::json, NULL)", [json.dumps([row])])

    @pytest.mark.parametrize("path", ["pg_temp, public", "lookalike, public"])
    def test_a_table_of_the_same_name_is_not_taken_for_the_log(self, role, path):
        """Whoever calls the function, its tables are those of the schema that it was made in."""
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA lookalike; GRANT ALL ON SCHEMA lookalike TO {role}")
        try:
            with psycopg.connect(**parameters(), autocommit=True) as another:
                another.execute(f"SET ROLE {role}")
                where = "TEMPORARY TABLE" if "temp" in path else "TABLE lookalike."
                name = " eventstore_event" if "temp" in path else "eventstore_event"
                another.execute(f"CREATE {where}{name} (LIKE public.eventstore_event)")
                another.execute(f"SET search_path = {path}")
                another.execute(ONE)
            assert Event.objects.count() == 1
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP SCHEMA lookalike CASCADE")

    def test_a_role_that_was_given_nothing_appends_nothing(self, toys):
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {ROLE}")
        try:
            with psycopg.connect(**parameters(), autocommit=True) as another:
                another.execute(f"SET ROLE {ROLE}")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    another.execute(ONE)
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"DROP ROLE {ROLE}")


class TestWhoMakesIt:
    """The owner of the tables, who need not be a superuser, nor own all that is in the schema."""

    @pytest.fixture
    def as_owner(self, toys):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(OWNED_BY_ANOTHER)
            yield
            transaction.set_rollback(True)

    def test_beside_what_is_not_its_own_in_the_schema(self, as_owner, capsys):
        with connection.cursor() as cursor:
            cursor.execute(
                f"RESET ROLE; CREATE ROLE {ROLE} LOGIN; {EXTENSION}; SET ROLE eventstore_test_owner"
            )
        call_command("app_role", ROLE)
        output = capsys.readouterr().out
        assert "As a superuser, run" in output
        assert "REVOKE EXECUTE ON FUNCTION pg_advisory_lock(bigint)" in output
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {ROLE}")
        append("counter-a", [Counted("a")], expected=ANY)
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")

    def test_without_the_right_to_make_roles_it_says_who_must(self, as_owner):
        with pytest.raises(
            CommandError, match=f'CREATE ROLE "{ROLE}" LOGIN; then run this command again'
        ):
            call_command("app_role", ROLE)
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")

    def test_locks_are_left_to_everybody_where_that_is_asked_for(self, toys, capsys):
        call_command("app_role", ROLE, "--keep-advisory-locks")
        try:
            assert "may take advisory locks" in capsys.readouterr().out
        finally:
            rights.drop(ROLE)


ONE = """
    SELECT eventstore_append_one(
        'counter-a', 1, gen_random_uuid(), 'toy.counted', 1::smallint, '{"counter_id": "a"}',
            gen_random_uuid(),
        NULL, '{}'
    )
"""
# As an extension leaves them: in the schema, and not the owner's.
EXTENSION = """
    CREATE VIEW pg_stat_statements_of_somebody AS SELECT 1 AS calls;
    CREATE SEQUENCE somebodys_numbers;
    CREATE FUNCTION pg_stat_statements_reset_of_somebody() RETURNS integer
    LANGUAGE sql AS 'SELECT 1';
    REVOKE ALL ON FUNCTION pg_stat_statements_reset_of_somebody() FROM PUBLIC
"""
OWNED_BY_ANOTHER = """
    CREATE ROLE eventstore_test_owner NOSUPERUSER NOCREATEROLE;
    GRANT ALL ON SCHEMA public TO eventstore_test_owner;
    DO $$
    DECLARE
        each record;
    BEGIN
        FOR each IN SELECT oid::regclass AS name FROM pg_class
            WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'v') LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO eventstore_test_owner', each.name);
        END LOOP;
        ALTER SEQUENCE eventstore_position OWNER TO eventstore_test_owner;
        FOR each IN SELECT oid::regprocedure AS name FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace LOOP
            EXECUTE format('ALTER FUNCTION %s OWNER TO eventstore_test_owner', each.name);
        END LOOP;
    END $$;
    SET ROLE eventstore_test_owner
"""
