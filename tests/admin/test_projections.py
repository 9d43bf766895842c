"""A read model is rebuilt from the console: requested, folded by the workers, compared, swapped,
rolled back."""

import pytest

from eventstore.delivery import worker
from eventstore.models import OperatorAction, Rebuild
from eventstore.postgres import execute
from eventstore.projections import rebuild
from eventstore.projections.rebuild import fold
from orders.models import OrderDetails

from .conftest import member, say_yes

NAME = "orders.details"
PAGE = "/admin/eventstore/projectionsubscription/orders.details/change/"
ACT = "/admin/eventstore/projectionsubscription/act/{}/?name=orders.details"

pytestmark = pytest.mark.usefixtures("no_tables_left")


@pytest.fixture
def operator(db):
    return member("grace", "grace", "--operate")


def test_rebuilt_swapped_and_taken_back_each_for_a_reason(operator, order):
    OrderDetails.objects.update(status="SPOILT")
    assert _labels(operator) == ["Rebuild", "Rebuild and compare"]
    assert (
        "the table orders_order_details, of about"
        in operator.get(ACT.format("rebuild")).content.decode()
    )
    _do(operator, "rebuild", "a new column")
    assert "Folding" in operator.get(PAGE).content.decode()
    assert _labels(operator) == ["Cancel the rebuild"]
    worker.housekeep()
    assert OrderDetails.objects.get().status == "CONFIRMED"
    assert _labels(operator) == [
        "Rebuild",
        "Rebuild and compare",
        "Roll back",
        "Drop the kept table",
    ]
    _do(operator, "rollback", "the old one was right")
    assert OrderDetails.objects.get().status == "SPOILT"
    assert "taken back" in operator.get(PAGE).content.decode()
    assert list(OperatorAction.objects.order_by("id").values_list("action", "who", "reason")) == [
        ("rebuild", "grace", "a new column"),
        ("roll back", "grace", "the old one was right"),
    ]


@pytest.mark.usefixtures("order")
def test_folded_compared_and_swapped_on_request(operator):
    OrderDetails.objects.update(status="SPOILT")
    _do(operator, "fold", "is it right?")
    worker.housekeep()
    (difference,) = operator.get(PAGE).context["differences"]
    assert (difference.column, difference.old, difference.new) == (
        "status",
        '"SPOILT"',
        '"CONFIRMED"',
    )
    assert _labels(operator) == ["Swap", "Compare again", "Cancel the rebuild"]
    _do(operator, "swap", "it was not")
    worker.housekeep()
    assert OrderDetails.objects.get().status == "CONFIRMED"


@pytest.mark.usefixtures("order")
def test_what_differs_is_told_without_the_person_until_somebody_says_why(operator):
    OrderDetails.objects.update(status="SPOILT", address={"name": "Zoë Canary"})
    _do(operator, "fold", "is it right?")
    worker.housekeep()
    support = member("ada", "ada", "--view")
    page = support.get(PAGE)
    assert [(each.column, each.old, each.new) for each in page.context["differences"]] == [
        ("address", '"•••"', '"•••"'),
        ("status", '"SPOILT"', '"CONFIRMED"'),
    ]
    assert "Zoë" not in page.content.decode()
    revealed = member("eve", "eve", "--reveal").post(
        PAGE.replace("/change/", "/reveal/"), {"reason": "whose is it?"}
    )
    assert "Zoë Canary" in revealed.content.decode()
    assert _labels(support) == []
    for word in ("rebuild", "swap", "cancel", "rollback"):
        assert support.post(ACT.format(word), {"reason": "x"}).status_code == 403


@pytest.mark.usefixtures("order")
def test_called_off_the_live_table_is_as_it_was(operator, monkeypatch):
    monkeypatch.setattr(fold, "PAGE", 2)
    _do(operator, "rebuild", "why not")
    page = operator.get(ACT.format("cancel"))
    rebuild.work(seconds=0)
    assert 0 < rebuild.latest(NAME)[0].percent < 100
    assert say_yes(operator, ACT.format("cancel"), "too busy").status_code == 302
    assert page.context["choice"].things, "though it had come further since"
    assert rebuild.latest(NAME)[0].state == "cancelled"
    assert OrderDetails.objects.get().status == "CONFIRMED"


@pytest.mark.usefixtures("order")
def test_an_event_that_cannot_be_folded_is_told_with_its_position(operator, monkeypatch):
    def refuse(row, event):
        raise ValueError("no such status")

    event, _ = next(iter(rebuild.projection(NAME).evolve.items()))
    monkeypatch.setitem(rebuild.projection(NAME).evolve, event, refuse)
    _do(operator, "rebuild", "new code")
    worker.housekeep()
    page = operator.get(PAGE).content.decode()
    assert "no such status" in page
    assert "at position" in page
    assert _labels(operator) == ["Rebuild", "Rebuild and compare"]


@pytest.mark.usefixtures("shop")
def test_a_rebuild_that_nobody_works_on_says_so(operator):
    _do(operator, "rebuild", "why not")
    assert "No progress for" not in operator.get(PAGE).content.decode()
    execute("UPDATE eventstore_rebuild SET told_at = now() - interval '1 minute'").close()
    assert "Check that a worker and Celery beat are running." in operator.get(PAGE).content.decode()


@pytest.mark.usefixtures("shop")
def test_two_people_do_not_begin_the_same_rebuild(operator):
    page = operator.get(ACT.format("rebuild"))
    _do(operator, "rebuild", "the first")
    answer = operator.post(
        ACT.format("rebuild"), {"reason": "the second", "digest": page.context["choice"].digest}
    )
    assert answer.status_code == 409
    assert Rebuild.objects.count() == 1


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("word", ["swap", "compare", "cancel", "rollback", "forget"])
def test_what_there_is_not_cannot_be_done(operator, word):
    assert operator.get(ACT.format(word)).context["count"] == 0


@pytest.mark.usefixtures("shop")
def test_what_is_no_projection_is_not_found(operator):
    assert (
        operator.get(
            "/admin/eventstore/projectionsubscription/act/rebuild/?name=payments.gateway"
        ).status_code
        == 404
    )
    assert (
        operator.get(
            "/admin/eventstore/projectionsubscription/payments.gateway/change/"
        ).status_code
        == 302
    )


def _labels(client):
    return [each.label for each in client.get(PAGE).context["rebuild_buttons"]]


def _do(client, word, reason):
    answer = say_yes(client, ACT.format(word), reason)
    assert answer.status_code == 302, answer.content.decode()
    assert answer.headers["Location"] == PAGE
