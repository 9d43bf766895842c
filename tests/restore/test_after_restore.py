"""After a restore, everything that providers did and the log lacks is listed."""

import pytest
from django.core.management import CommandError, call_command

from eventstore.commands import bus, repository
from eventstore.log import epochs
from eventstore.models import OperatorAction, StoredResponse
from eventstore.money import Money
from eventstore.operations.doctor import examine
from eventstore.outbox import cursors
from eventstore.postgres import execute, rows
from eventstore.testing import drain
from orders.models import OrderDetails
from payments.commands import ProcessPayment
from payments.gateway.sandbox import SandboxGateway
from payments.models import SandboxEntry
from payments.reconciliation import lost
from shipping.commands import Address, CreateShipment

from .losing import forget_the_mark, last, lose_behind

pytestmark = pytest.mark.django_db(transaction=True)

TEN = Money(1000, "EUR")
LATER = "SELECT setval('eventstore_position', last_value + 5) FROM eventstore_position"


@pytest.fixture
def lost_orders(cups):
    """Two orders that were charged, shipped and lost, and one that is still there."""
    bus.dispatch(ProcessPayment("kept", TEN, "tok_visa"))
    bus.dispatch(CreateShipment("kept", Address("Ada")))
    drain()
    whole = last()
    for order_id in ("gone-1", "gone-2"):
        bus.dispatch(ProcessPayment(order_id, TEN, "tok_visa"))
        bus.dispatch(CreateShipment(order_id, Address("Ada")))
    drain()
    lose_behind(whole)
    forget_the_mark()
    repository.forget()


def restored(capsys):
    with pytest.raises(CommandError) as error:
        call_command("after_restore", reason="a drill")
    return capsys.readouterr().out.splitlines(), str(error.value)


def test_it_lists_by_name_what_was_lost_and_nothing_else(lost_orders, capsys):
    lines, error = restored(capsys)
    payments = {each for each in lines if each.startswith("payments: ")}
    assert payments == {
        f"payments: {order_id}: lost, the log has no payment of it; the provider has 10.00 charged"
        " and 0 refunded EUR"
        for order_id in ("gone-1", "gone-2")
    }
    parcels = [each for each in lines if each.startswith("shipping: ")]
    assert {each.split(":")[1].strip() for each in parcels} == {"gone-1", "gone-2"}
    assert "things need an operator" in error
    assert OperatorAction.objects.get().action == "after restore"


def test_the_doctor_says_so_until_it_was_run(lost_orders, capsys):
    epochs.begin(epochs.PROMOTION)
    found = [each for each in examine() if each.check == "log-epoch"]
    assert [each.mend for each in found] == ['manage.py after_restore --reason "…"']
    restored(capsys)
    assert [each for each in examine() if each.check == "log-epoch"] == []
    assert (
        len(epochs.history()) == 2
    )  # the epoch that had begun by itself is settled, no other one begins


def test_run_again_it_begins_another_epoch(lost_orders, capsys):
    restored(capsys)
    restored(capsys)
    assert [each.reason for each in epochs.history()] == ["first", "restore", "restore"]


def test_answers_that_speak_of_what_is_lost_are_forgotten(cups, capsys):
    whole = last()
    StoredResponse.objects.create(
        scope="1 POST /api/commands/orders/ k",
        fingerprint="f",
        status=202,
        headers={},
        body=f'{{"position":{whole + 3}}}',
    )
    StoredResponse.objects.create(
        scope="1 POST /api/commands/orders/ l",
        fingerprint="f",
        status=202,
        headers={},
        body=f'{{"position":{whole}}}',
    )
    execute(LATER).close()
    call_command("after_restore", reason="a drill")
    assert [each.scope[-1] for each in StoredResponse.objects.all()] == ["l"]
    assert "1 stored responses" in capsys.readouterr().out


def test_a_read_model_that_was_not_restored_with_the_log_is_named(cups, capsys):
    OrderDetails.objects.create(order_id="o-1", version=1, position=last() + 2)
    execute(LATER).close()
    lines, _ = restored(capsys)
    assert (
        "1 rows of orders.details include events that the log lacks: manage.py rebuild_projection"
        " orders.details" in lines
    )


def test_a_subscription_that_was_not_is_named_and_misses_nothing_new(cups, capsys):
    execute(
        "UPDATE eventstore_subscription SET position = %s WHERE name = 'payments'",
        [last() + 10 * cursors.WINDOW],
    ).close()
    lines, _ = restored(capsys)
    assert any(each.startswith("The subscription payments is at position") for each in lines)
    bus.enqueue([ProcessPayment("new", TEN, "tok_visa")])
    drain()
    assert SandboxEntry.objects.filter(order_id="new", done=True).exists()


def test_new_positions_lie_behind_all_that_was_ever_given(lost_orders, capsys):
    ((given,),) = rows("SELECT last_value FROM eventstore_position")
    restored(capsys)
    bus.dispatch(ProcessPayment("new", TEN, "tok_visa"))
    assert last() > epochs.history()[-1].first > given + 1_000_000


def test_money_that_went_back_is_no_charge_of_a_lost_order(lost_orders):
    gateway = SandboxGateway(late=0.0)
    gateway.refund(key="by hand", order_id="gone-1", amount=TEN)
    since = SandboxEntry.objects.order_by("entered_at").first().entered_at
    assert [each.order_id for each in lost(gateway, since=since)] == ["gone-2"]


def test_every_nights_comparison_lists_them_too(lost_orders, capsys):
    epochs.renew()
    with pytest.raises(
        CommandError, match="2 orders charged by the provider are missing in the log"
    ):
        call_command("reconcile_payments")
    assert {line.split(":")[0] for line in capsys.readouterr().out.splitlines()} == {
        "gone-1",
        "gone-2",
    }


def test_without_a_reason_nothing_is_done(cups):
    with pytest.raises(CommandError, match="A reason is required"):
        call_command("after_restore", reason=" ")
    assert len(epochs.ask().epochs) == 1
