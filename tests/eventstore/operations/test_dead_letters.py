"""What a handler could not take, in a person's hands."""

import json

import pytest
from django.core.management import CommandError, call_command

from eventstore.log import ANY, append
from eventstore.log.audit import ReasonMissing
from eventstore.models import OperatorAction, Parked
from eventstore.operations import dead_letters
from eventstore.outbox import parked
from eventstore.testing import drain
from tests.eventstore.toy import TALLIES, Counted, Tally

SUBSCRIPTION = "toy.tallies"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture
def dead(monkeypatch):
    """One message of the counter a that is dead, and two that wait behind it."""
    monkeypatch.setattr(parked, "ATTEMPTS", 1)
    append("counter-a", [Counted("a", 1, "boom"), Counted("a", 2), Counted("a", 3)], expected=ANY)
    append("counter-b", [Counted("b", 5)], expected=ANY)
    drain()
    return Parked.objects.order_by("position").first().position


def mended(monkeypatch, toys):
    healed = TALLIES._replace(
        evolve=TALLIES.evolve
        | {Counted: lambda row, event: row | {"heard": [*row["heard"], event.amount]}}
    )
    toys({SUBSCRIPTION: healed})


def heard(counter_id):
    return Tally.objects.get(counter_id=counter_id).heard


def test_a_dead_letter_is_listed_with_what_waits_behind_it(dead):
    letters = dead_letters.letters(subscription=SUBSCRIPTION)
    assert [(letter.key, letter.status) for letter in letters] == [
        ("a", "dead"),
        ("a", "waiting"),
        ("a", "waiting"),
    ]
    assert "Boom" in letters[0].error
    assert "Traceback" in letters[0].traceback
    assert heard("b") == [5]


@pytest.mark.parametrize("what", [["show"], ["retry"], ["discard", "--reason", "old"]])
def test_where_nothing_matches_that_is_said(dead, what):
    with pytest.raises(CommandError, match="No matching parked messages"):
        call_command("dead_letters", what[0], SUBSCRIPTION, "--key", "nobody", *what[1:])
    assert not OperatorAction.objects.exists()


def test_the_message_itself_can_be_looked_into(dead):
    (letter, *_) = dead_letters.letters()
    assert dead_letters.message_of(letter).body == Counted("a", 1, "boom")


def test_a_retry_runs_todays_code_and_what_waits_follows_in_order(dead, toys, monkeypatch):
    mended(monkeypatch, toys)
    assert dead_letters.retry(SUBSCRIPTION, [dead], who="ada") == 1
    drain()
    assert heard("a") == [1, 2, 3]
    assert not Parked.objects.exists()


def test_a_retry_that_fails_again_is_dead_again(dead):
    dead_letters.retry(SUBSCRIPTION, [dead], who="ada")
    drain()
    assert Parked.objects.get(position=dead).status == "dead"
    assert Parked.objects.get(position=dead).attempts == 2


def test_only_the_first_of_its_key_can_be_tried(dead):
    behind = Parked.objects.exclude(position=dead).first().position
    with pytest.raises(dead_letters.NotParked):
        dead_letters.retry(SUBSCRIPTION, [behind], who="ada")


def test_a_discarded_letter_lets_the_others_go_on(dead):
    assert dead_letters.discard(SUBSCRIPTION, [dead], who="ada", reason="made by a test") == 1
    drain()
    assert heard("a") == [2, 3]


def test_a_discard_needs_a_reason_and_keeps_it(dead):
    with pytest.raises(ReasonMissing):
        dead_letters.discard(SUBSCRIPTION, [dead], who="ada", reason="  ")
    dead_letters.discard(SUBSCRIPTION, [dead], who="ada", reason="made by a test")
    action = OperatorAction.objects.get()
    assert (action.who, action.action, action.subject, action.reason) == (
        "ada",
        "discard",
        SUBSCRIPTION,
        "made by a test",
    )
    assert action.details == {"positions": [dead], "keys": ["a"]}


def test_what_cannot_be_discarded_leaves_no_trace(dead):
    with pytest.raises(dead_letters.NotParked):
        dead_letters.discard(SUBSCRIPTION, [dead + 1000], who="ada", reason="typo")
    assert not OperatorAction.objects.exists()


class TestCommand:
    def test_list_show_and_json(self, dead, capsys):
        call_command("dead_letters", "list")
        assert f"{SUBSCRIPTION} {dead} a dead" in capsys.readouterr().out
        call_command("dead_letters", "show", SUBSCRIPTION, str(dead))
        assert "Traceback" in capsys.readouterr().out
        call_command("dead_letters", "list", SUBSCRIPTION, "--json", "--status", "dead")
        assert [letter["position"] for letter in json.loads(capsys.readouterr().out)] == [dead]

    def test_retry_one_and_discard_all_that_match(self, dead, capsys):
        call_command("dead_letters", "retry", SUBSCRIPTION, str(dead))
        call_command("dead_letters", "discard", SUBSCRIPTION, "--key", "a", "--reason", "all of it")
        assert not Parked.objects.exists()
        assert "3 discarded" in capsys.readouterr().out

    def test_all_that_match_are_all_of_them(self, capsys):
        Parked.objects.bulk_create(
            Parked(subscription=SUBSCRIPTION, position=position, key=str(position), status="dead")
            for position in range(1, 1502)
        )
        call_command("dead_letters", "retry", SUBSCRIPTION, "--status", "dead")
        call_command("dead_letters", "discard", SUBSCRIPTION, "--reason", "a flood")
        assert "1501 will be retried" in capsys.readouterr().out
        assert not Parked.objects.exists()

    def test_showing_what_is_not_there_is_a_failure_too(self):
        with pytest.raises(CommandError, match="No matching parked messages"):
            call_command("dead_letters", "show", SUBSCRIPTION, "7")

    def test_without_a_match_it_is_a_sentence_and_a_failure(self):
        with pytest.raises(CommandError, match="none of"):
            call_command("dead_letters", "retry", SUBSCRIPTION, "7")

    @pytest.mark.parametrize(
        "what", [["list"], ["show"], ["retry"], ["discard", "--reason", "typo"]]
    )
    def test_a_subscription_that_is_none_is_not_one_where_nothing_is_parked(self, what):
        with pytest.raises(CommandError, match="paymets.*Subscriptions: .*toy"):
            call_command("dead_letters", what[0], "paymets", *what[1:])
