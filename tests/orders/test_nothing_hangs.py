"""Deadlines and interventions: a process without an answer retries, undoes its steps, and in the
end needs attention."""

import inspect
import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from eventstore import registry, sagas
from eventstore.commands import bus
from eventstore.models import OperatorAction, OutboxMessage, Parked, SagaState
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import ImportOrder
from orders.events import OrderLine
from orders.models import OrderDetails
from orders.order import saga as fulfilment
from orders.returns import saga as returning
from payments.models import SandboxEntry
from shipping.commands import Address

SAGA = "orders.fulfilment"
# Upper-case literals that are not a status.
NO_STATUS = {"XXX"}

pytestmark = [pytest.mark.django_db(transaction=True)]


def place(method="tok_visa", postcode="N1"):
    bus.dispatch(ReceiveStock("TEA", 10))
    order_id = str(uuid4())
    bus.dispatch(
        ImportOrder(
            order_id=order_id,
            customer_id="ada",
            lines=(OrderLine("TEA", "Tea", 1, 500),),
            charges=(),
            currency="EUR",
            exponent=2,
            address=Address(postcode=postcode),
            payment_method=method,
            placed_at=datetime.now(UTC),
            reference="",
        )
    )
    drain()
    return order_id


def time_passes():
    """The deadline of the present step passes."""
    SagaState.objects.update(deadline_at="2000-01-01T00:00Z")
    drain()


def the_gateway_gives_up():
    """As after the last try: the call becomes a dead letter."""
    Parked.objects.update(status="dead", due_at=None)


def status(order_id):
    return SagaState.objects.get(key=order_id).status


def at(order_id):
    """The position at which an operator sees the process."""
    return SagaState.objects.get(key=order_id).position


def test_each_step_has_a_deadline_and_the_last_has_none():
    waiting, done = place("tok_timeout"), place()
    assert SagaState.objects.get(key=waiting).deadline_at is not None
    assert (status(done), SagaState.objects.get(key=done).deadline_at) == ("COMPLETED", None)


def test_a_step_that_never_answers_is_asked_again_then_undone():
    order_id = place("tok_timeout")
    the_gateway_gives_up()
    time_passes()
    assert status(order_id) == "PAYMENT_PENDING"
    time_passes()
    assert status(order_id) == "COMPENSATING"
    order = OrderDetails.objects.get(pk=order_id)
    assert (order.status, order.payment_status) == ("PLACED", "REFUNDING")


def test_a_refund_that_never_answers_calls_for_attention_and_is_never_called_done():
    order_id = place("tok_timeout")
    the_gateway_gives_up()
    for _ in range(6):
        time_passes()
        the_gateway_gives_up()
    assert status(order_id) == "NEEDS_ATTENTION"
    assert SagaState.objects.get(key=order_id).deadline_at is None


def test_an_answer_that_comes_after_all_ends_it():
    order_id = place("tok_timeout")
    the_gateway_gives_up()
    for _ in range(6):
        time_passes()
        the_gateway_gives_up()
    SandboxEntry.objects.update(done_at=1)  # the provider had taken it after all
    Parked.objects.filter(subscription="payments.gateway").update(status="failed")
    head = Parked.objects.order_by("position").first()
    Parked.objects.filter(pk=head.pk).update(due_at="2000-01-01T00:00Z")
    drain()
    assert status(order_id) == "COMPENSATED"
    order = OrderDetails.objects.get(pk=order_id)
    assert (order.status, order.payment_status) == ("CANCELLED", "REFUNDED")


def test_a_deadline_that_comes_late_or_twice_changes_nothing():
    order_id = place()
    before = OutboxMessage.objects.count()
    time_passes()
    time_passes()
    assert status(order_id) == "COMPLETED"
    enqueued = OutboxMessage.objects.filter(position__gt=0).count() - before
    assert enqueued == 2  # the two deadlines, and nothing that followed from them


class TestByHand:
    def test_a_person_turns_back_a_process_that_waits(self):
        order_id = place("tok_timeout")
        call_command(
            "sagas",
            "compensate",
            SAGA,
            order_id,
            "--at",
            f"{at(order_id)}",
            "--reason",
            "customer called",
        )
        drain()
        assert status(order_id) == "COMPENSATING"
        action = OperatorAction.objects.get()
        assert (action.action, action.subject, action.reason) == (
            "compensate",
            f"{SAGA} {order_id}",
            "customer called",
        )

    def test_a_person_asks_again(self):
        order_id = place("tok_timeout")
        sagas.intervene(
            SAGA, order_id, "retry", seen_at=at(order_id), who="ada", reason="the provider is back"
        )
        drain()
        assert SagaState.objects.get(key=order_id).state["asked_again"] == 1

    def test_a_person_takes_a_step_back_as_done(self):
        order_id = place("tok_timeout")
        the_gateway_gives_up()
        sagas.intervene(
            SAGA, order_id, "compensate", seen_at=at(order_id), who="ada", reason="gateway is gone"
        )
        drain()
        sagas.intervene(
            SAGA,
            order_id,
            "skip",
            seen_at=at(order_id),
            who="ada",
            reason="nothing was taken: ticket 7",
        )
        drain()
        assert status(order_id) == "COMPENSATED"
        assert OrderDetails.objects.get(pk=order_id).status == "CANCELLED"

    def test_whoever_saw_another_step_is_told_and_nothing_is_done(self):
        order_id = place("tok_timeout")
        seen_at = at(order_id)
        time_passes()
        with pytest.raises(
            CommandError, match=f"has moved on from position {seen_at}: it is PAYMENT_PENDING at "
        ):
            call_command(
                "sagas",
                "compensate",
                SAGA,
                order_id,
                "--at",
                f"{seen_at}",
                "--reason",
                "customer called",
            )
        assert not OutboxMessage.objects.filter(type="eventstore.intervened").exists()
        assert not OperatorAction.objects.exists()

    def test_a_word_that_the_process_overtakes_changes_nothing_and_that_is_written_down(self):
        """Two operators see the same step; the action of the second must not skip the next step."""
        order_id = place("tok_timeout")
        the_gateway_gives_up()
        sagas.intervene(
            SAGA, order_id, "compensate", seen_at=at(order_id), who="ada", reason="gateway is gone"
        )
        drain()
        seen_at = at(order_id)
        for who in ("ada", "ben"):
            sagas.intervene(
                SAGA, order_id, "retry", seen_at=seen_at, who=who, reason="the provider is back"
            )
        drain()
        assert SagaState.objects.get(key=order_id).state["asked_again"] == 1
        late = OperatorAction.objects.get(who="ben", action="retry came too late")
        assert late.subject == f"{SAGA} {order_id}"
        assert late.details == {"seen_at": seen_at, "position": at(order_id)}

    def test_processes_are_listed_and_shown(self, capsys):
        order_id = place("tok_timeout")
        call_command("sagas", "list", "--status", "PAYMENT_PENDING")
        assert f"{SAGA} {order_id} PAYMENT_PENDING" in capsys.readouterr().out
        call_command("sagas", "show", SAGA, order_id)
        assert "payments.payment_requested" in capsys.readouterr().out

    def test_a_status_that_is_none_is_refused_with_those_that_are(self):
        with pytest.raises(
            CommandError, match=r"Unknown status 'NONSENSE'.* COMPENSATING, .* NEEDS_ATTENTION, "
        ):
            call_command("sagas", "list", "--status", "NONSENSE")
        with pytest.raises(
            CommandError,
            match=r"Unknown saga 'orders.fulfillment'. Expected one of: orders.fulfilment, ",
        ):
            call_command("sagas", "list", "orders.fulfillment")

    @pytest.mark.parametrize("status", [*sorted(registry.saga_statuses()), "NEEDS_ATTENTION"])
    def test_a_status_that_no_process_has_at_present_is_none_the_less_one(self, status, capsys):
        call_command("sagas", "list", "orders.returning", "--status", status)
        assert "No matching sagas." in capsys.readouterr().out

    def test_the_statuses_named_are_those_in_the_code(self):
        """Every status literal of a process; `sagas list` would refuse one that the wiring does not
        name."""
        named = {*registry.saga_statuses(), "NEEDS_ATTENTION"}
        for module in (fulfilment, returning):
            source = inspect.getsource(module)
            assert set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', source)) - NO_STATUS <= named, (
                module.__name__
            )

    @pytest.mark.parametrize("many", ["-1", "0", "99999999999999999999", "many"])
    def test_how_many_is_a_number_that_can_be_meant(self, many):
        with pytest.raises(CommandError, match="expected a number from 1"):
            call_command("sagas", "list", f"--limit={many}")

    def test_what_is_not_there_is_a_sentence_and_a_failure(self):
        with pytest.raises(CommandError, match="no process"):
            call_command("sagas", "retry", SAGA, "nobody", "--at", "1", "--reason", "x")
