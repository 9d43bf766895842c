"""What is in the log stays as it is, whoever asks."""

import pytest
from django.db import DatabaseError, connection, transaction

from eventstore import log
from eventstore.log import append
from eventstore.models import Event
from tests.eventstore.toy import Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys", "recorded")]


@pytest.fixture
def recorded(toys):
    append("counter-a", [Counted("a"), Counted("a")], expected=0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE eventstore_event SET data = '{}'",
        "UPDATE eventstore_event SET metadata = metadata WHERE version = 2",
        "DELETE FROM eventstore_event WHERE version = 2",
        "TRUNCATE eventstore_event",
        "TRUNCATE eventstore_event CASCADE",
        (
            "INSERT INTO eventstore_event SELECT * FROM eventstore_event ON CONFLICT (id) DO UPDATE"
            " SET data = '{}'"
        ),
    ],
)
def test_the_owner_of_the_table_cannot_change_or_remove_an_event(statement):
    before = list(Event.objects.values())

    with (
        pytest.raises(DatabaseError) as refused,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert refused.value.__cause__.sqlstate == "ES002"
    assert "never changed or removed" in str(refused.value)
    assert list(Event.objects.values()) == before


@pytest.mark.parametrize(
    "setting",
    [
        "pgtrigger.ignore = '{append_only,eventstore_append_only}'",
        "session_replication_role = replica",
    ],
)
@pytest.mark.parametrize("statement", ["DELETE FROM eventstore_event", "TRUNCATE eventstore_event"])
def test_no_setting_of_a_session_switches_the_guards_off(setting, statement):
    before = list(Event.objects.values())
    with (
        pytest.raises(DatabaseError, match="never changed"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SET LOCAL {setting}")
        cursor.execute(statement)
    assert list(Event.objects.values()) == before


@pytest.mark.parametrize(
    "write", [lambda: Event.objects.all().delete(), lambda: Event.objects.update(version=9)]
)
def test_nor_can_the_models(write):
    with pytest.raises(DatabaseError), transaction.atomic():
        write()
    assert len(list(log.read_stream("counter-a"))) == 2


def test_appending_goes_on():
    append("counter-a", [Counted("a")], expected=2)
    assert len(list(log.read_stream("counter-a"))) == 3
