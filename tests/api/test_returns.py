"""Returns over the API: whole and partial, and never more than was bought."""

from io import StringIO

import pytest
from django.core.management import call_command

from eventstore.models import Event
from eventstore.testing import drain
from inventory.models import StockLevel
from orders.models import OrderDetails, ReturnView
from payments.models import PaymentView

from .conftest import NOBODY, pointers, problem

pytestmark = pytest.mark.usefixtures("shop")


def euros(amount):
    return {"amount": amount, "currency": "EUR", "exponent": 2}


@pytest.fixture
def bought(ada):
    """Three cups and a pot, paid and shipped."""
    order_id = ada.placed({"sku": "CUP", "quantity": 3}, {"sku": "POT", "quantity": 1})
    drain()
    return order_id


def ada_buys(ada):
    order_id = ada.placed({"sku": "CUP", "quantity": 3})
    drain()
    return order_id


def ask(api, order_id, *lines, **more):
    lines = [{"number": number, "quantity": quantity} for number, quantity in lines]
    return api.post(
        f"/api/commands/orders/{order_id}/returns/", {"lines": lines, "reason": "too small"} | more
    )


def requested(api, order_id, *lines):
    answer = ask(api, order_id, *lines)
    assert answer.status_code == 202, answer.content
    return answer.json()["return_id"]


def receive(api, return_id, *lines):
    lines = [{"number": number, "quantity": quantity} for number, quantity in lines]
    answer = api.post(
        f"/api/commands/returns/{return_id}/receive/", {"lines": lines} if lines else None
    )
    drain()
    return answer


def position_of(return_id, version):
    return Event.objects.get(stream=f"return-{return_id}", version=version).position


def order(api, order_id):
    return api.get(f"/api/queries/orders/{order_id}/").json()


def test_a_part_comes_back_and_is_paid_back(ada, operator, bought):
    answer = ask(ada, bought, (1, 2))
    return_id = answer.json()["return_id"]
    assert answer["Location"] == f"/api/queries/returns/{return_id}/"
    drain()
    assert order(ada, bought)["lines"][0]["announced"] == 2

    assert receive(operator, return_id).status_code == 202

    found = ada.get(answer["Location"]).json()
    assert (found["status"], found["order_id"], found["customer_id"]) == (
        "COMPLETED",
        bought,
        ada.customer_id,
    )
    assert (found["refund"], found["refunded"]) == (euros(3998), euros(3998))
    assert found["lines"] == [{"number": 1, "sku": "CUP", "quantity": 2, "unit_price": euros(1999)}]
    now = order(ada, bought)
    assert (now["status"], now["return_status"], now["payment_status"]) == (
        "CONFIRMED",
        "PARTLY_RETURNED",
        "PARTLY_REFUNDED",
    )
    assert now["refunded"] == euros(3998)
    assert [(line["announced"], line["returned"]) for line in now["lines"]] == [(0, 2), (0, 0)]
    assert ada.get(f"/api/queries/payments/{bought}/").json()["refunded"] == euros(3998)
    level = StockLevel.objects.get(sku="CUP")
    assert (level.returned, level.available) == (2, 9)


def test_all_of_it_comes_back_by_several_returns(ada, operator, bought):
    for lines in [(1, 1)], [(1, 2), (2, 1)]:
        receive(operator, requested(ada, bought, *lines))
    now = order(ada, bought)
    assert (now["return_status"], now["payment_status"], now["refunded"]) == (
        "RETURNED",
        "REFUNDED",
        now["total"],
    )
    problem(ask(ada, bought, (1, 1)), 409, "MoreThanWasBought")


def test_what_comes_is_what_is_paid_back(ada, operator, bought):
    return_id = requested(ada, bought, (1, 3), (2, 1))
    receive(operator, return_id, (1, 1))
    assert order(ada, bought)["refunded"] == euros(1999)
    assert ask(ada, bought, (1, 2), (2, 1)).status_code == 202


def test_what_comes_later_is_received_too(ada, operator, bought):
    return_id = requested(ada, bought, (1, 3))
    receive(operator, return_id, (1, 2))
    for lines in [(1, 50)], [(9, 1)]:
        problem(receive(operator, return_id, *lines), 409, "MoreThanWasAnnounced")
    answer = receive(operator, return_id, (1, 1)).json()
    assert (answer["version"], answer["position"] > 0) == (4, True)
    now = order(ada, bought)
    assert (now["lines"][0]["announced"], now["lines"][0]["returned"], now["refunded"]) == (
        0,
        3,
        euros(5997),
    )
    assert StockLevel.objects.get(sku="CUP").returned == 3
    listed = ada.get(f"/api/queries/returns/?order={bought}").json()["data"]
    assert [(each["status"], each["refunded"]) for each in listed] == [
        ("COMPLETED", euros(1999)),
        ("COMPLETED", euros(3998)),
    ]
    assert listed[0]["reference"] == return_id
    repeat = receive(operator, return_id, (1, 1)).json()
    assert (repeat["version"], repeat["position"]) == (4, position_of(return_id, 4))
    assert order(ada, bought)["refunded"] == euros(5997)


def test_two_equal_parcels_are_two_by_their_names(ada, operator, bought):
    return_id = requested(ada, bought, (1, 3))
    for name in ("first", "second", "second"):
        body = {"lines": [{"number": 1, "quantity": 1}], "delivery": name}
        assert operator.post(f"/api/commands/returns/{return_id}/receive/", body).status_code == 202
        drain()
    assert order(ada, bought)["lines"][0]["returned"] == 2
    unnamed = receive(operator, requested(ada, ada_buys(ada), (1, 2)), (1, 1))
    again = receive(operator, unnamed.json()["return_id"], (1, 1))
    detail = problem(again, 409, "PerhapsTheSameParcel")["detail"]
    assert "If this is another parcel, name it (delivery)." in detail, "on one line"


def test_the_orders_version_counts_its_returns(ada, bought):
    before = order(ada, bought)["version"]
    requested(ada, bought, (1, 1))
    drain()
    assert order(ada, bought)["version"] == before + 1


def test_what_cannot_be_is_refused_with_a_code(ada, operator, bought):
    assert (
        "3 can be returned, not 4"
        in problem(ask(ada, bought, (1, 4)), 409, "MoreThanWasBought")["detail"]
    )
    problem(ask(ada, bought, (3, 1)), 409, "NotOnTheOrder")
    problem(ask(ada, ada.placed(), (1, 1)), 409, "OrderNotConfirmed")
    return_id = requested(ada, bought, (1, 1))
    problem(receive(operator, return_id, (1, 2)), 409, "MoreThanWasAnnounced")
    operator.post(f"/api/commands/returns/{return_id}/close/", {"reason": "never came"})
    problem(receive(operator, return_id), 409, "ReturnNotOpen")
    drain()
    assert ada.get(f"/api/queries/returns/{return_id}/").json()["status"] == "CLOSED"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"lines": []}, "#/lines"),
        ({"lines": [{"number": 0, "quantity": 1}]}, "#/lines/0/number"),
        ({"lines": [{"number": 1, "quantity": 0}]}, "#/lines/0/quantity"),
        ({"lines": [{"number": 1, "quantity": True}]}, "#/lines/0/quantity"),
        ({"lines": [{"number": 1}]}, "#/lines/0/quantity"),
        ({"lines": [{"number": 1, "quantity": 1, "sku": "CUP"}]}, "#/lines/0/sku"),
        ({"lines": "all"}, "#/lines"),
        ({"charges": [{"number": 1, "quantity": -1}]}, "#/charges/0/quantity"),
        ({"reason": ""}, "#/reason"),
        ({"refund": 100}, "#/refund"),
    ],
)
def test_what_makes_no_sense_names_the_field(ada, bought, changes, pointer):
    assert pointers(ask(ada, bought, (1, 1), **changes)) == [pointer]


def test_of_nothing_nothing_is_received(ada, operator, bought):
    return_id = requested(ada, bought, (1, 1))
    answer = operator.post(f"/api/commands/returns/{return_id}/receive/", {"lines": []})
    assert pointers(answer) == ["#/lines"]


def test_anothers_order_and_return_are_unknown(ada, grace, operator, support, bought):
    problem(ask(grace, bought, (1, 1)), 404, "NotFound")
    problem(ask(ada, NOBODY, (1, 1)), 404, "NotFound")
    assert ask(support, bought, (1, 1)).status_code == 202
    return_id = requested(ada, bought, (1, 1))
    drain()
    problem(grace.get(f"/api/queries/returns/{return_id}/"), 404, "NotFound")
    problem(receive(operator, NOBODY), 404, "NotFound")


def test_charges_are_refunded_at_the_word_of_staff_only(ada, support, bought):
    charges = [{"number": 1, "quantity": 1}]
    problem(ask(ada, bought, charges=charges), 403)
    problem(ask(support, bought, charges=charges), 409, "NotOnTheOrder")


def test_lists_by_customer_and_by_order(ada, grace, support, bought):
    other = ada.placed()
    drain()
    first, second = requested(ada, bought, (1, 1)), requested(ada, other, (1, 1))
    drain()

    def listed(api, **parameters):
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return [
            each["return_id"] for each in api.get(f"/api/queries/returns/?{query}").json()["data"]
        ]

    assert (
        listed(ada)
        == listed(support)
        == listed(support, customer=ada.customer_id)
        == [second, first]
    )
    assert listed(ada, order=bought) == listed(support, order=bought) == [first]
    assert listed(grace) == listed(grace, order=bought) == []
    problem(grace.get(f"/api/queries/returns/?customer={ada.customer_id}"), 403)


def test_rebuilt_read_models_are_what_they_were(ada, operator, support, bought):
    receive(operator, requested(ada, bought, (1, 2), (2, 1)), (1, 1))
    requested(ada, bought, (2, 1))
    drain()
    models = (OrderDetails, ReturnView, PaymentView, StockLevel)
    before = [list(model.objects.order_by("pk").values()) for model in models]
    assert all(before)

    call_command("rebuild_projection", "--all", stdout=StringIO())

    assert [list(model.objects.order_by("pk").values()) for model in models] == before
