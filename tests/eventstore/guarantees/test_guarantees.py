"""What the promises rest on: broken for real, it stops who would serve, and the check and the
doctor name it."""

import os
import subprocess
import sys
from functools import partial

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from django.test.utils import CaptureQueriesContext

from eventstore import guarantees
from eventstore.log import append
from eventstore.operations import doctor
from tests.eventstore.concurrently import url_of_the_test
from tests.eventstore.toy import Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

WEB = ("-c", "import config.wsgi")
LIVE = ("-m", "config.live", "--port", "0")
WORKER = ("-m", "celery", "-A", "config", "worker", "-c", "1")
BEAT = ("-m", "celery", "-A", "config", "beat", "--pidfile=")
WORK = ("manage.py", "work")
CHECK = ("manage.py", "check", "--database", "default")
DOCTOR = ("manage.py", "doctor")


def boot(*command, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        env=os.environ | {"DATABASE_URL": url_of_the_test()} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def of_the_database(setting):
    name, _, value = setting.partition("=")
    database = connection.settings_dict["NAME"]
    return (
        f'ALTER DATABASE "{database}" SET {name} = {value}',
        f'ALTER DATABASE "{database}" RESET {name}',
    )


def of_the_sequence(how):
    mended = "AS bigint INCREMENT 1 NO MAXVALUE CACHE 1 NO CYCLE"
    return (
        f"ALTER SEQUENCE eventstore_position {how}",
        f"ALTER SEQUENCE eventstore_position {mended}",
    )


def of_a_function(statement):
    made = connection.cursor()
    made.execute("SELECT pg_get_functiondef('eventstore_has_parked'::regproc)")
    return statement, made.fetchone()[0]


def of_a_guard(how, guard="eventstore_append_only"):
    """Gone, it is made as its migration did."""
    gone = f"""
        DROP TRIGGER IF EXISTS eventstore_append_only ON eventstore_event;
        CREATE TRIGGER eventstore_append_only BEFORE UPDATE OR DELETE ON eventstore_event
            FOR EACH ROW EXECUTE FUNCTION eventstore_refuse_change();
        ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_append_only;
        ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER {guard};
    """
    return how.format(guard=guard), gone


OTHER_TEXT = """
    CREATE OR REPLACE FUNCTION eventstore_has_parked(owner text) RETURNS boolean
    LANGUAGE sql AS 'SELECT false'
"""
DISABLE, ENABLE = (
    f"ALTER TABLE eventstore_event {how} TRIGGER {{guard}}" for how in ("DISABLE", "ENABLE")
)
NEVER = (
    "CREATE TRIGGER eventstore_append_only BEFORE UPDATE OR DELETE ON eventstore_event FOR EACH ROW"
    " WHEN (false)"
)
REPLACED = f"""
    DROP TRIGGER {{guard}} ON eventstore_event;
    {NEVER} EXECUTE FUNCTION eventstore_refuse_change();
    ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER {{guard}};
"""

# What is done to the server, the message about it, and the id of the check.
BROKEN = {
    "synchronous_commit": (
        partial(of_the_database, "synchronous_commit=off"),
        "PostgreSQL runs with synchronous_commit off: a crash would lose acknowledged writes.",
        "eventstore.E031",
    ),
    "replica": (
        partial(of_the_database, "session_replication_role=replica"),
        "Our connections run as a replica: triggers and foreign keys are off.",
        "eventstore.E033",
    ),
    "cache": (
        partial(of_the_sequence, "CACHE 32"),
        "The sequence eventstore_position has CACHE 32.",
        "eventstore.E035",
    ),
    "increment": (
        partial(of_the_sequence, "INCREMENT 2"),
        "The sequence eventstore_position has INCREMENT 2.",
        "eventstore.E035",
    ),
    "cycle": (
        partial(of_the_sequence, "CYCLE"),
        "The sequence eventstore_position has CYCLE.",
        "eventstore.E035",
    ),
    "end": (
        partial(of_the_sequence, "MAXVALUE 100000"),
        "The sequence eventstore_position has MAXVALUE 100000.",
        "eventstore.E035",
    ),
    "no sequence": (
        lambda: (
            "ALTER SEQUENCE eventstore_position RENAME TO elsewhere",
            "ALTER SEQUENCE elsewhere RENAME TO eventstore_position",
        ),
        "The sequence eventstore_position is missing.",
        "eventstore.E035",
    ),
    "no function": (
        partial(of_a_function, "DROP FUNCTION eventstore_has_parked(text)"),
        "The function eventstore_has_parked(text) is missing.",
        "eventstore.E034",
    ),
    "another function": (
        partial(of_a_function, OTHER_TEXT),
        "The function eventstore_has_parked(text) differs from its file.",
        "eventstore.E034",
    ),
    "guard off": (
        partial(of_a_guard, DISABLE),
        "The log's guard eventstore_append_only is disabled.",
        "eventstore.E037",
    ),
    "guard off for replicas": (
        partial(of_a_guard, ENABLE, "eventstore_never_truncated"),
        (
            "The log's guard eventstore_never_truncated is off where session_replication_role is"
            " replica."
        ),
        "eventstore.E037",
    ),
    "no guard": (
        partial(of_a_guard, "DROP TRIGGER {guard} ON eventstore_event"),
        "The log's guard eventstore_append_only is gone.",
        "eventstore.E037",
    ),
    "guard that never guards": (
        partial(of_a_guard, REPLACED),
        "The log's guard eventstore_append_only is different from ours.",
        "eventstore.E037",
    ),
}


@pytest.fixture
def broken(another):
    """broken(name): the message about it, and the id of the check."""
    undo = []

    def break_it(name):
        statements, message, id_ = BROKEN[name]
        do, back = statements()
        undo.append(back)
        another().execute(do)
        connection.close()
        return message, id_

    yield break_it
    connection.close()
    for back in undo:
        another().execute(back)
    connection_created.disconnect(guarantees._check_database)


@pytest.mark.parametrize("name", BROKEN)
def test_it_stops_who_would_serve_and_the_check_and_the_doctor_name_it(broken, name):
    message, id_ = broken(name)
    with pytest.raises(guarantees.Broken) as refused:
        guarantees.demand()
    assert message in str(refused.value)
    connection_created.disconnect(guarantees._check_database)  # the process would have ended
    checked = guarantees.check_database(None, databases=["default"])
    assert [(error.id, error.msg) for error in checked if error.msg == message] == [(id_, message)]
    assert [each.severity for each in doctor.examine() if each.what == message] == ["critical"]


@pytest.mark.parametrize("process", [WEB, LIVE, WORKER, BEAT, WORK, CHECK, DOCTOR], ids=" ".join)
def test_each_process_ends_by_a_sentence(broken, process, tmp_path):
    message, _ = broken("cache")
    done = boot(*process, *(["-s", str(tmp_path / "schedule")] if process is BEAT else []))
    assert done.returncode not in (0, None)
    assert message in done.stdout + done.stderr
    assert "ALTER SEQUENCE eventstore_position" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_server_that_forgets_is_accepted_where_a_setting_says_so(broken):
    message, _ = broken("synchronous_commit")
    assert "ALLOW_UNSAFE_DATABASE=1" in boot(*WEB).stderr
    assert boot(*WEB, ALLOW_UNSAFE_DATABASE="1").returncode == 0


def test_where_all_is_well_they_boot():
    assert boot(*WEB).returncode == 0
    assert list(guarantees.breaches(guarantees.SERVER, guarantees.TABLES)) == []


def test_a_sequence_behind_the_log_a_cursor_or_the_outbox_is_found(another):
    """As after a restore without sequences, or on a replica that was promoted."""
    last = append("counter-a", [Counted("a"), Counted("a")], expected=0).position
    other = another()
    other.execute("SELECT setval('eventstore_position', %s)", [last - 1])
    (found,) = guarantees.breaches(guarantees.TABLES)
    assert found.what.startswith(
        f"The sequence eventstore_position is at {last - 1}, behind {last},"
    )
    for table, holder in (
        ("eventstore_event", "the outbox"),
        ("eventstore_outbox", "the cursor toy.tallies"),
    ):
        other.execute(
            "UPDATE eventstore_subscription SET position = %s WHERE name = 'toy.tallies'", [last]
        )
        other.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        other.execute(f"DELETE FROM {table}")
        other.execute("ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_append_only")
        other.execute(
            "ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_never_truncated"
        )
        (found,) = guarantees.breaches(guarantees.TABLES)
        assert holder in (found.culprit, "the outbox")
    assert found.culprit == "the cursor toy.tallies"
    other.execute(f"SELECT setval('eventstore_position', {last})")
    assert list(guarantees.breaches(guarantees.TABLES)) == []


class TestIsolation:
    def test_what_the_address_says_for_itself_is_seen(self):
        url = f"{url_of_the_test()}?options=-c%20default_transaction_isolation%3Dserializable"
        done = boot(*WEB, DATABASE_URL=url)
        assert done.returncode == 3
        assert "Single statements run as serializable instead of read committed." in done.stderr
        assert "Traceback" not in done.stderr

    def test_what_the_database_says_does_not_reach_us_and_the_doctor_warns_for_others(
        self, another
    ):
        do, back = of_the_database("default_transaction_isolation='repeatable read'")
        another().execute(do)
        try:
            assert boot(*WEB).returncode == 0
            (found,) = [each for each in doctor.examine() if each.check == "isolation-of-others"]
            assert found.severity == "warning"
            what = "Connections without our OPTIONS begin transactions as repeatable read."
            assert found.what == what
            assert connection.settings_dict["NAME"] in found.mend
        finally:
            another().execute(back)


def test_a_database_of_older_or_newer_migrations_is_not_held_against_todays_text(broken, another):
    """While old code runs beside a new schema, or new code is started before it: the probes tell
    that."""
    broken("another function")
    other = another()
    other.execute(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('eventstore', '9999_newer',"
        " now())"
    )
    try:
        assert list(guarantees.breaches(guarantees.TABLES)) == []
    finally:
        other.execute("DELETE FROM django_migrations WHERE name = '9999_newer'")


def test_while_the_database_is_away_a_process_boots_and_asks_when_it_is_back(broken):
    message, _ = broken("cache")
    script = f"""
import config.wsgi
from django.db import connection
connection.settings_dict["PORT"] = {connection.settings_dict["PORT"]}
connection.ensure_connection()
"""
    away = url_of_the_test().replace(f":{connection.settings_dict['PORT']}/", ":1/")
    done = boot("-c", script, DATABASE_URL=away)
    assert "database unreachable" in done.stderr
    assert message in done.stderr


def test_it_costs_a_handful_of_queries_in_the_life_of_a_process():
    with CaptureQueriesContext(connection) as queries:
        guarantees.demand()
        for _ in range(3):
            connection.close()
            connection.ensure_connection()
    assert 0 < len([query for query in queries if "SELECT" in query["sql"]]) <= 14
