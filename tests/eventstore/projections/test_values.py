"""A row with a time without a zone, or a number that JSON cannot represent, is not stored as
something else."""

import math
from datetime import UTC, datetime
from operator import attrgetter

import pytest
from django.db import connection, models

from eventstore.commands import bus
from eventstore.models import Parked, ReadModel
from eventstore.projections import rebuild
from eventstore.subscriptions import Commands, Projection
from eventstore.testing import drain
from tests.eventstore.toy import Count, Counted

pytestmark = pytest.mark.django_db(transaction=True)


class Measured(ReadModel):
    counter_id = models.TextField(primary_key=True)
    at = models.DateTimeField(null=True)
    mean = models.FloatField(default=0.0)

    class Meta:
        app_label = "toy"
        db_table = "toy_measured"


NAME = "toy.measured"
NOON = datetime(2026, 11, 1, 12)
FOUND = {
    "right": {"at": NOON.replace(tzinfo=UTC), "mean": 0.5},
    "naive": {"at": NOON},
    "nan": {"mean": math.nan},
    "endless": {"mean": -math.inf},
}


@pytest.fixture
def measured(toys):
    with connection.schema_editor() as editor:
        editor.create_model(Measured)
    toys({"toy": Commands(), NAME: folding(FOUND)})
    yield toys
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE toy_measured")


def folding(found):
    return Projection(
        model=Measured,
        category="counter",
        key=attrgetter("counter_id"),
        evolve={Counted: lambda row, event: row | found[event.note]},
    )


@pytest.mark.parametrize(
    ("note", "text"),
    [
        ("naive", "The column 'at' of Measured got 2026-11-01T12:00:00, a time without"),
        ("nan", "The column 'mean' of Measured got nan"),
        ("endless", "The column 'mean' of Measured got -inf"),
    ],
)
def test_the_row_stays_and_the_column_is_named(measured, note, text):
    bus.dispatch(Count("a", 1, "right"))
    bus.dispatch(Count("a", 1, note))
    drain()
    assert text in Parked.objects.get().error
    row = Measured.objects.get()
    assert (row.at, row.mean) == (NOON.replace(tzinfo=UTC), 0.5)


def test_so_it_is_in_a_rebuild(measured):
    bus.dispatch(Count("a", 1, "right"))
    drain()
    measured({"toy": Commands(), NAME: folding({"right": {"at": NOON}})})
    with pytest.raises(rebuild.RebuildFailed, match="a time without a time zone"):
        rebuild.rebuild(NAME)
    assert Measured.objects.get().at == NOON.replace(tzinfo=UTC)
