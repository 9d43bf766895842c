"""The role that the application runs as appends to the log, and can do nothing else to it."""

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql

from eventstore.store import ANY, append
from eventstore.testing import drain

from .concurrently import parameters
from .toy import Counted, Tally

ROLE = "eventstore_test_app"

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def role(toys):
    call_command("app_role", ROLE, verbosity=0)
    yield ROLE
    with connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


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
    """Or may become its owner; its rights stay as they were, or the next migration would find none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (owner,) = cursor.fetchone()
        cursor.execute(f"CREATE ROLE {ROLE}; GRANT {owner} TO {ROLE}")
    try:
        for each in (owner, ROLE):
            with pytest.raises(CommandError, match="can change it"):
                call_command("app_role", each)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP ROLE {ROLE}")


def test_making_it_again_brings_its_rights_up_to_date(role):
    call_command("app_role", role, verbosity=0)


def test_who_may_not_make_roles_is_told_so_in_a_sentence(as_role):
    with pytest.raises(CommandError, match="could not be made: permission denied"):
        call_command("app_role", "eventstore_test_other")
