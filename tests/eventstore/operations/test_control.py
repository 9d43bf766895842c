"""A subscription in a person's hands: paused, gone on with, begun anew, one message left out; each
written down."""

import io

import pytest
from django.core.management import CommandError, call_command

from eventstore import codec, log
from eventstore.delivery import step
from eventstore.log import ANY, append
from eventstore.log.audit import ReasonMissing
from eventstore.models import OperatorAction, Parked, Subscription
from eventstore.operations import control
from eventstore.outbox import cursors
from eventstore.testing import drain
from tests.eventstore import toy
from tests.eventstore.toy import Counted, Tally

NAME = "toy.tallies"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


def count(*notes):
    for note in notes:
        append("counter-a", [Counted("a", 1, note)], expected=ANY)


def noted():
    return list(
        OperatorAction.objects.order_by("id").values_list("who", "action", "subject", "reason")
    )


def output_of(*arguments):
    out = io.StringIO()
    call_command("subscriptions", *arguments, stdout=out)
    return out.getvalue()


def test_a_paused_subscription_takes_nothing_until_it_is_told_to_go_on():
    control.pause(NAME, who="ada", reason="to look at it")
    count("", "")
    drain()
    assert not Tally.objects.exists()
    control.resume(NAME, who="ada")
    drain()
    assert Tally.objects.get().total == 2
    assert noted() == [("ada", "pause", NAME, "to look at it"), ("ada", "resume", NAME, "")]


def test_what_is_so_already_is_not_done_again():
    with pytest.raises(control.OperationRefused, match="running already"):
        control.resume(NAME, who="ada")
    assert noted() == []


def test_a_read_model_begins_anew_with_an_empty_table():
    count("", "boom", "")
    drain()
    Tally.objects.update(total=100)
    assert control.reset(NAME, who="ada", reason="wrong by hand") == 1
    assert not Tally.objects.exists()
    assert not Parked.objects.exists()
    drain()
    assert Tally.objects.get().total == 1
    assert noted() == [("ada", "reset", NAME, "wrong by hand")]


def test_it_begins_anew_from_the_log_when_the_outbox_is_cleared():
    from datetime import timedelta

    count("", "")
    drain()
    while cursors.clear(retention=timedelta(0)):
        pass
    control.reset(NAME, who="ada", reason="a try")
    drain()
    assert Tally.objects.get().total == 2


def test_a_read_model_goes_back_to_the_beginning_only():
    count("", "")
    drain()
    with pytest.raises(control.OperationRefused, match=f"rebuild_projection {NAME}"):
        control.reset(NAME, 1, who="ada", reason="a try")
    assert Tally.objects.get().total == 2


@pytest.mark.parametrize("name", ["toy", "toy.round", "toy.effect"])
def test_what_acts_on_the_world_does_not_go_back(toys, name):
    toys({**toy.SUBSCRIPTIONS, "toy.round": toy.ROUND, "toy.effect": toy.EFFECT})
    with pytest.raises(control.OperationRefused, match="a second time"):
        control.reset(name, who="ada", reason="a try")


def test_the_next_message_is_left_out_and_those_behind_it_are_not():
    count("", "", "")
    control.pause(NAME, who="ada")
    first = log.fence() - 2
    with pytest.raises(control.OperationRefused, match=f"its next message is at {first}"):
        control.skip(NAME, first + 1, who="ada", reason="it is wrong")
    control.skip(NAME, first, who="ada", reason="it is wrong")
    control.resume(NAME, who="ada")
    drain()
    assert Tally.objects.get().total == 2
    assert OperatorAction.objects.get(action="skip").details == {
        "position": first,
        "type": "toy.counted",
        "stream": "counter-a",
    }


def test_a_parked_message_is_left_out_and_what_waits_behind_it_goes_on():
    count("boom", "")
    position = log.fence() - 1
    step.step(NAME)
    control.skip(NAME, position, who="ada", reason="it is wrong")
    drain()
    assert Tally.objects.get().total == 1
    assert noted() == [("ada", "discard", NAME, "it is wrong")]


@pytest.mark.parametrize(
    "act", [control.reset, lambda name, **noted: control.skip(name, 1, **noted)]
)
def test_what_takes_something_away_needs_a_reason(act):
    with pytest.raises(ReasonMissing):
        act(NAME, who="ada", reason=" ")


def test_all_of_it_from_the_command_line():
    count("")
    assert NAME in output_of()
    assert NAME in output_of("list")
    assert [each["name"] for each in codec.decode_json(output_of("--json"))] == [
        each["name"] for each in codec.decode_json(output_of("list", "--json"))
    ]
    assert codec.decode_json(output_of("pause", NAME, "--reason", "x", "--json"))["paused"] is True
    assert "skips" in output_of("skip", NAME, str(log.fence()), "--reason", "x")
    assert "is running" in output_of("resume", NAME)
    assert "rows were deleted" in output_of("reset", NAME, "0", "--reason", "x")
    assert Subscription.objects.get(name=NAME).position == 0
    for wrong in (["pause", "nobody"], ["resume", NAME], ["reset", "toy", "0", "--reason", "x"]):
        with pytest.raises(CommandError):
            output_of(*wrong)
