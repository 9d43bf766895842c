"""Tables and columns may have names that are words of SQL, or have capitals and blanks."""

from operator import attrgetter

import pytest
from django.db import connection, models

from eventstore.commands import bus
from eventstore.models import ReadModel
from eventstore.operations import control
from eventstore.projections import freshness, rebuild
from eventstore.subscriptions import DELETED, Commands, Projection
from eventstore.testing import drain
from tests.eventstore.toy import Close, Closed, Count, Counted

pytestmark = pytest.mark.django_db(transaction=True)


class Order(ReadModel):
    user = models.TextField(primary_key=True, db_column="user")
    order = models.IntegerField(default=0)
    group = models.TextField(default="", db_column="The Group")

    class Meta:
        app_label = "toy"
        db_table = "order"
        indexes = [models.Index(fields=["group"], name="toy_order_group")]


NAME = "toy.orders"
ORDERS = Projection(
    model=Order,
    category="counter",
    key=attrgetter("counter_id"),
    evolve={
        Counted: lambda row, event: (
            row | {"order": row["order"] + event.amount, "The Group": event.note}
        ),
        Closed: lambda row, event: DELETED,
    },
)


@pytest.fixture
def orders(toys):
    with connection.schema_editor() as editor:
        editor.create_model(Order)
    toys({"toy": Commands(), NAME: ORDERS})
    yield
    with connection.cursor() as cursor:
        cursor.execute('DROP TABLE "order"; DROP TABLE IF EXISTS rebuild_kept."order"')


def rows():
    return list(Order.objects.order_by("pk").values_list("user", "order", "group"))


def test_they_are_folded_read_rebuilt_and_reset(orders):
    for command in (Count("a", 1), Count("b", 2), Count("a", 3, "x"), Count("c"), Close("c")):
        bus.dispatch(command)
        drain()
    assert rows() == [("a", 4, "x"), ("b", 2, "")]
    assert freshness.look(Order, "a").row.order == 4
    bus.dispatch(Count("a", 5, "y"))
    assert freshness.recorded(Order, "a").order == 9

    drain()
    rebuild.rebuild(NAME)
    assert rows() == [("a", 9, "y"), ("b", 2, "")]
    rebuild.roll_back(NAME, who="ada", reason="test")

    control.reset(NAME, who="ada", reason="test")
    drain()
    assert rows() == [("a", 9, "y"), ("b", 2, "")]
