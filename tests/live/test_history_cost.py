"""The cost of a customer's whole history grows linearly with it."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection

from eventstore import log
from eventstore.money import Money
from eventstore.outbox import cursors
from orders import queries
from orders.api import live
from orders.api import public_events as timeline
from orders.events import OrderCancelled, OrderLine, OrderPlaced
from shipping.commands import Address
from tests.plans import watching

pytestmark = pytest.mark.django_db(transaction=True)

HOME = Address("Ada", "Square 1", "London", "SW1Y", "GB")
LATE = 20


def place(first, last):
    for number in range(first, last):
        event = OrderPlaced(
            order_id=f"o-{number}",
            customer_id="ada",
            lines=(OrderLine("CUP", "A cup", 1, 1999),),
            charges=(),
            total=Money(1999, "EUR"),
            address=HOME,
            payment_method="tok_visa",
            placed_at=datetime.now(UTC),
        )
        log.append(
            f"order-o-{number}", [event, OrderCancelled(f"o-{number}", "-")], expected=log.NO_STREAM
        )


def history(user):
    """The items, and how many database pages were read for them."""
    watch = watching.Watch(most_of_one=10_000)
    with watching.watched(watch):
        items = [
            each for page in live.orders(user, position=0).history(0, log.fence()) for each in page
        ]
    return items, sum(each.buffers for each in watch.looks if each.mode == watching.CUSTOM)


@pytest.fixture
def ada(transactional_db, monkeypatch):
    monkeypatch.setattr(live, "PAGE", 20)
    cursors.ensure_cursors()
    user = User.objects.create(username="ada")
    user.customer_id = "ada"  # as whoever authenticates says
    return user


def test_twice_the_orders_cost_twice_as_much(ada):
    place(0, 200)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    few, cost_of_few = history(ada)
    place(200, 800)
    many, cost_of_many = history(ada)
    assert (len(few), len(many)) == (400, 1600)
    assert cost_of_many <= 5 * cost_of_few


def test_orders_that_go_on_late_are_told_in_the_order_of_the_log(ada):
    place(0, 60)
    for number in range(0, 60, 3):
        log.append(
            f"order-o-{number}",
            [OrderCancelled(f"o-{number}", "late")] * LATE,
            expected=log.STREAM_EXISTS,
        )
    items, _ = history(ada)
    assert [each.position for each in items] == [
        each.position for each in log.read_log(types=timeline.types())
    ]
    (middle, *rest) = [each.position for each in items[len(items) // 2 :]]
    after = [
        each for page in live.orders(ada, position=0).history(middle, log.fence()) for each in page
    ]
    assert [each.position for each in after] == rest
    assert not queries.list_customer_orders("ada").exists(), "all of it came from the log"
