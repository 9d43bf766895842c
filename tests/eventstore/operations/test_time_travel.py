"""An aggregate as it was, and what made it so."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from eventstore.log import ANY, append
from eventstore.models import Event
from eventstore.operations import time_travel
from tests.eventstore.toy import Closed, Counted, Counter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture
def stream():
    append("counter-a", [Counted("a", 2), Counted("a", 3), Closed("a")], expected=ANY)
    return "counter-a"


def output_of(*arguments, **options):
    out = StringIO()
    call_command("stream_state", *arguments, stdout=out, **options)
    return out.getvalue()


def test_the_state_at_a_version(stream):
    assert time_travel.moment(stream, version=1).state == Counter(total=2)
    assert time_travel.moment(stream, version=2).state == Counter(total=5)
    assert time_travel.moment(stream).state == Counter(total=5, closed=True)


def test_the_state_as_it_was_recorded_at_a_time(stream):
    second = Event.objects.get(version=2).recorded_at
    assert time_travel.moment(stream, at=second).version == 2


def test_which_event_set_each_field_last(stream):
    set_by = time_travel.moment(stream).set_by
    assert {name: message.version for name, message in set_by.items()} == {"total": 2, "closed": 3}


def test_what_each_event_changed(stream):
    changed = [change.changed for change in time_travel.changes(stream)]
    assert changed == [{"total": (0, 2)}, {"total": (2, 5)}, {"closed": (False, True)}]


def test_before_its_first_event_there_is_no_stream(stream):
    with pytest.raises(time_travel.NoSuchStream):
        time_travel.moment("counter-never")
    with connection.cursor() as cursor:
        cursor.execute("SELECT now() - interval '1 day'")
        (yesterday,) = cursor.fetchone()
    with pytest.raises(time_travel.NoSuchStream):
        time_travel.moment(stream, at=yesterday)


def test_the_command_says_it_in_words_and_in_json(stream):
    assert "total = 5   set at version 2 by toy.counted" in output_of(stream)
    assert json.loads(output_of(stream, "--version", "1", "--json"))["state"] == {
        "total": 2,
        "closed": False,
    }


@pytest.mark.parametrize("name", ["counter-never", "nobody-a", "nonsense"])
def test_the_command_refuses_what_is_no_stream_with_a_sentence(name):
    with pytest.raises(CommandError, match="no event|one of: counter"):
        output_of(name)
