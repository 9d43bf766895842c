"""The decisions of both sides, and that each side understands what the other publishes."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from django.utils import timezone

from eventstore.messaging.event_bus import Envelope
from eventstore.money import Money
from eventstore.subscriptions import Unprocessable
from eventstore.testing import given
from examples.loyalty import shop
from examples.loyalty.account import ACCOUNT
from examples.loyalty.commands import CreditOrder, TakeBackOrder
from examples.loyalty.events import PointsCredited, PointsWithdrawn
from orders.commands import RecordLoyaltyPoints, WithdrawLoyaltyPoints
from orders.events import LoyaltyPointsEarned, LoyaltyPointsTakenBack
from orders.loyalty import partner
from orders.loyalty.aggregate import LOYALTY

ROOT = Path(__file__).parents[2]
CREDITED = PointsCredited("ada", "o-1", 12)
WITHDRAWN = PointsWithdrawn("ada", "o-1", 12)
EARNED, TAKEN_BACK = LoyaltyPointsEarned("o-1", 12), LoyaltyPointsTakenBack("o-1", 12)


@pytest.mark.parametrize(
    ("total", "points"),
    [(Money(1299, "EUR"), 12), (Money(1299, "JPY"), 1299), (Money(12999, "EUR", 3), 12)],
)
def test_a_confirmed_order_earns_a_point_for_each_whole_unit(total, points):
    command = CreditOrder("ada", "o-1", total)
    given(ACCOUNT).when(command).then(PointsCredited("ada", "o-1", points))


def test_an_order_below_one_unit_earns_nothing():
    given(ACCOUNT).when(CreditOrder("ada", "o-1", Money(99, "EUR"))).then()


def test_an_order_earns_once():
    again = CreditOrder("ada", "o-1", Money(1299, "EUR"))
    given(ACCOUNT, CREDITED).when(again).then()
    given(ACCOUNT, CREDITED, WITHDRAWN).when(again).then()


def test_the_points_of_an_order_are_taken_back_once():
    given(ACCOUNT, CREDITED).when(TakeBackOrder("ada", "o-1")).then(WITHDRAWN)
    given(ACCOUNT, CREDITED, WITHDRAWN).when(TakeBackOrder("ada", "o-1")).then()


def test_an_order_that_was_never_confirmed_has_no_points_to_take_back():
    given(ACCOUNT, CREDITED).when(TakeBackOrder("ada", "o-2")).then()


def test_the_shop_records_an_answer_once():
    given(LOYALTY).when(RecordLoyaltyPoints("o-1", 12)).then(EARNED)
    given(LOYALTY, EARNED).when(RecordLoyaltyPoints("o-1", 12)).then()
    given(LOYALTY, EARNED).when(WithdrawLoyaltyPoints("o-1")).then(TAKEN_BACK)
    given(LOYALTY, EARNED, TAKEN_BACK).when(WithdrawLoyaltyPoints("o-1")).then()
    given(LOYALTY, EARNED, TAKEN_BACK).when(RecordLoyaltyPoints("o-1", 12)).then()
    given(LOYALTY).when(WithdrawLoyaltyPoints("o-1")).then()


CONTRACTS = [
    *((ROOT / "schemas", *each) for each in shop.read_from("kafka").contract.items()),
    *(
        (ROOT / "examples/loyalty/schemas", *each)
        for each in partner.read_from("kafka").contract.items()
    ),
]


@pytest.mark.parametrize(
    ("folder", "type_", "cls"), CONTRACTS, ids=[type_ for _, type_, _ in CONTRACTS]
)
def test_each_side_understands_the_published_example_of_the_other(folder, type_, cls):
    newest = max((folder / type_).glob("v*.example.json"))
    published = json.loads(newest.read_text())
    understood = msgspec.to_builtins(msgspec.convert(published, cls))
    assert understood == {name: published[name] for name in understood}


def test_a_guest_has_no_account():
    envelope = _envelope(shop.OrderConfirmed("o-1", "", Money(1299, "EUR")))
    assert shop.order_confirmed(envelope) == []
    assert shop.order_changed(_envelope(shop.OrderDetails("o-1", "", "CANCELLED"))) == []


def test_points_are_taken_back_for_orders_that_are_called_off_only():
    def follows(status):
        return shop.order_changed(_envelope(shop.OrderDetails("o-1", "ada", status)))

    assert follows("PLACED") == follows("CONFIRMED") == []
    assert follows("CANCELLED") == follows("REFUNDING") == [TakeBackOrder("ada", "o-1")]


@pytest.mark.parametrize(
    "answer",
    [{"order_id": "o-1", "points": -5}, {"order_id": "../../x' OR 1=1", "points": 5}],
)
def test_an_answer_with_impossible_data_does_not_fit_its_class(answer):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(answer, partner.PointsEarned)


@pytest.mark.django_db
def test_an_answer_for_an_order_that_does_not_exist_cannot_be_recorded():
    with pytest.raises(Unprocessable, match="There is no order o-9"):
        partner.points_earned(_envelope(partner.PointsEarned("o-9", 5)))
    with pytest.raises(Unprocessable, match="There is no order o-9"):
        partner.points_taken_back(_envelope(partner.PointsTakenBack("o-9")))


def _envelope(event):
    id_ = uuid4()
    return Envelope(id_, "orders.any", "order-o-1", 1, timezone.now(), id_, id_, event)


@pytest.mark.parametrize(
    "command",
    [["check"], ["schemas", "--check"], ["makemigrations", "--check", "--dry-run"]],
    ids=" ".join,
)
def test_the_partner_is_a_project_of_its_own(command):
    manage = ROOT / "examples/loyalty/manage.py"
    done = subprocess.run([sys.executable, manage, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
