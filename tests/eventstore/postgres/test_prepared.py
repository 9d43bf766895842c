"""Statements in one call of libpq: the same rows, errors and patience as by a cursor, and for the
same callers."""

import psycopg
import pytest
from django.db import DataError, NotSupportedError, OperationalError, connection, transaction
from psycopg import pq

from eventstore.postgres import prepared, rows, rows_in_binary

pytestmark = pytest.mark.django_db(transaction=True)

OFTEN = 5


@pytest.fixture(autouse=True)
def _fresh():
    connection.close()
    yield
    connection.close()


def names():
    """What we have prepared, by the server's book; asked by Django's cursor, which prepares
    nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statement FROM pg_prepared_statements WHERE name LIKE 'eventstore_%'"
        )
        return [statement for (statement,) in cursor.fetchall()]


def test_what_is_asked_often_is_prepared_once_and_answered_alike():
    answers = [rows("SELECT %s::int + 1, 'x%%s'::text, NULL", [number]) for number in range(OFTEN)]
    assert answers == [[(number + 1, "x%s", None)] for number in range(OFTEN)]
    assert names() == ["SELECT $1::int + 1, 'x%s'::text, NULL"]


def test_what_is_rarely_asked_is_not_kept():
    assert rows("SELECT 1") == [(1,)]
    assert names() == []


def test_no_more_is_kept_than_a_server_can_bear():
    for number in range(prepared.MOST + 20):
        for _ in range(OFTEN):
            assert rows(f"SELECT {number}") == [(number,)]
    assert len(names()) == prepared.MOST


def test_parameters_of_another_type_are_another_statement():
    for given in (1, "1"):
        for _ in range(OFTEN):
            assert rows("SELECT %s::text", [given]) == [("1",)]
    assert len(names()) == 2


def test_in_binary_the_values_are_the_same():
    statement = "SELECT n, gen_random_uuid(), clock_timestamp() FROM generate_series(1, 3) AS n"
    for _ in range(OFTEN):
        assert [number for number, _, _ in rows_in_binary(statement)] == [1, 2, 3]
    assert names() == [statement]


def test_in_binary_json_comes_as_its_text_whoever_asks():
    statement = """SELECT '{"b": 1.50, "a": []}'::json, NULL::json"""
    for _ in range(OFTEN):
        assert rows_in_binary(statement) == [('{"b": 1.50, "a": []}', None)]
    with transaction.atomic():
        assert rows_in_binary(statement) == [('{"b": 1.50, "a": []}', None)]
    assert rows(statement) == [({"b": 1.5, "a": []}, None)]


def test_of_an_answer_one_row_can_be_had_before_the_others_are_loaded():
    statement = "SELECT n FROM generate_series(1, %s) AS n"
    for _ in range(OFTEN):
        rows_in_binary(statement, [3])
    answer = prepared.ask(connection.connection, statement, [3], pq.Format.BINARY)
    assert (len(answer), answer[-1], answer[0]) == (3, (3,), (1,))
    assert list(answer) == list(answer) == [(1,), (2,), (3,)]
    with pytest.raises(IndexError):
        answer[3]


def test_what_a_connection_has_learnt_of_one_class_is_not_mistaken_for_another():
    spelt = [
        (1, "1"),
        (2**40, str(2**40)),
        (2**80, str(2**80)),
        ("1", "1"),
        (None, None),
        (1.5, "1.5"),
        (True, "true"),
    ]
    lists = [
        ([1, 2], "{1,2}"),
        ([2**40], f"{{{2**40}}}"),
        (["a"], '{"a"}'),
        ([None, 1], "{NULL,1}"),
    ]
    for _ in range(OFTEN):
        for given, text in spelt + lists:
            assert rows("SELECT %s::text", [given]) == [(text,)]


def test_in_a_transaction_a_cursor_asks():
    with transaction.atomic():
        for _ in range(OFTEN):
            assert rows("SELECT 1") == [(1,)]
        assert names() == []


def test_behind_a_pooler_nothing_is_prepared():
    connection.ensure_connection()
    connection.connection.prepare_threshold = None
    for _ in range(OFTEN):
        assert rows("SELECT 1") == [(1,)]
    assert names() == []


def test_an_error_is_djangos_with_the_servers_own_behind_it():
    for _ in range(OFTEN):
        with pytest.raises(DataError) as refused:
            rows("SELECT 1 / %s", [0])
        assert isinstance(refused.value.__cause__, psycopg.errors.DivisionByZero)
    assert rows("SELECT 1") == [(1,)]


def test_a_statement_that_cannot_be_prepared_says_why():
    for _ in range(OFTEN):
        with pytest.raises(Exception, match="nowhere"):
            rows("SELECT * FROM nowhere")
    assert rows("SELECT 1") == [(1,)]


def test_nor_does_one_that_no_server_would_take():
    """Its answer is the one that a prepared statement has whose table was altered, and it was never
    prepared."""
    for _ in range(OFTEN):
        with pytest.raises(NotSupportedError, match="not allowed with DISTINCT"):
            rows("SELECT DISTINCT 1 FROM eventstore_subscription FOR UPDATE")
    assert rows("SELECT 1") == [(1,)]


def test_somebody_who_lets_go_of_all_statements_does_no_harm():
    for _ in range(OFTEN):
        rows("SELECT 1")
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert rows("SELECT 1") == [(1,)]
    assert names() == ["SELECT 1"]


def test_nor_does_a_table_that_was_altered():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE changing AS SELECT 1 AS one")
        for _ in range(OFTEN):
            assert rows("SELECT * FROM changing") == [(1,)]
        cursor.execute("ALTER TABLE changing ADD two integer DEFAULT 2")
    assert rows("SELECT * FROM changing") == [(1, 2)]


def test_a_connection_that_is_cut_is_an_operational_error(another):
    for _ in range(OFTEN):
        rows("SELECT 1")
    another().execute(
        "SELECT pg_terminate_backend(%s, 1000)", [connection.connection.info.backend_pid]
    )
    with pytest.raises(OperationalError):
        rows("SELECT 1")
    assert connection.connection.closed


class TestBehindAPoolerThatKeepsNone:
    """Our connection to the server is another client's by the next statement, with what that one
    has prepared."""

    def book(self):
        """By the server's book: name -> statement."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, statement FROM pg_prepared_statements")
            return dict(cursor.fetchall())

    @pytest.mark.parametrize("ask", ["alone", "in a transaction"])
    def test_two_clients_never_have_two_statements_under_one_name(self, ask):
        def names_after(statement):
            connection.close()
            for _ in range(OFTEN):
                if ask == "alone":
                    rows(statement)
                    continue
                with transaction.atomic():
                    rows(statement)
            return self.book()

        ours, theirs = names_after("SELECT 1 AS ours"), names_after("SELECT 2 AS theirs")
        assert ours
        assert theirs
        assert {name: ours[name] for name in ours.keys() & theirs.keys()} == {
            name: theirs[name] for name in ours.keys() & theirs.keys()
        }

    def test_what_another_client_has_prepared_by_the_same_name_is_the_same(self):
        for _ in range(OFTEN):
            rows("SELECT %s::int", [1])
        ((name, statement),) = self.book().items()
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute(f'PREPARE "{name}" (smallint) AS {statement}')
        for number in range(OFTEN):
            assert rows("SELECT %s::int", [number]) == [(number,)]
