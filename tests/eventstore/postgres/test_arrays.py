"""Lists of texts reach the server as they are, as by psycopg's own dumper."""

import pytest
from django.db import DataError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.array import ListDumper

from eventstore.postgres import rows
from eventstore.postgres.arrays import TextsDumper

pytestmark = pytest.mark.django_db(transaction=True)

PARTS = st.sampled_from(['"', "\\", ",", "{", "}", "NULL", "null", " ", "", '","', '\\"', "a", "ü"])
TEXTS = st.lists(PARTS, max_size=6).map("".join) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0")
)


@given(st.lists(TEXTS | st.none()))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_list_arrives_as_it_was_sent(texts):
    assert rows("SELECT %s::text[]", [texts]) == [(texts,)]


def test_texts_go_the_short_way_on_every_connection(monkeypatch):
    connection.close()
    connection.ensure_connection()

    def never(self, obj):
        raise AssertionError("psycopg's own way")

    monkeypatch.setattr(ListDumper, "dump", never)
    assert rows("SELECT %s::text[]", [['a "b"', "c\\"]]) == [(['a "b"', "c\\"],)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]", [["a", ""]])
        assert cursor.fetchone() == (["a", ""],)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ([], "text"),
        ([1, None, 2**40], "bigint"),
        ([["a", "b"], ["c", "NULL"]], "text"),
        ([True, False], "boolean"),
        ([None], "text"),
    ],
)
def test_other_lists_are_psycopgs(value, type_):
    assert rows(f"SELECT %s::{type_}[]", [value]) == [(value,)]


class Named(str):
    pass


def test_a_subclass_of_texts_too():
    assert rows("SELECT %s::text[]", [[Named("a"), "b"]]) == [(["a", "b"],)]


def test_what_no_text_can_hold_is_refused_as_ever():
    with pytest.raises(DataError, match="NUL"):
        rows("SELECT %s::text[]", [["a\0", "b"]])
    with pytest.raises(UnicodeEncodeError):
        rows("SELECT %s::text[]", [["\ud800", "b"]])


def test_the_two_write_the_same_type():
    assert TextsDumper.upgrade is ListDumper.upgrade
