"""The commands that show and do what the console does; the guide names one for every view."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from eventstore.console.pages import overview
from eventstore.delivery import heartbeats, step
from eventstore.models import Event, OperatorAction, Parked, SagaState, Sample
from eventstore.operations import metrics
from eventstore.privacy.personal_data import HIDDEN
from eventstore.testing import drain

from .conftest import busy, place
from .everything import lists, models, routes

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "console.md"

# Django's own views that are rejected or redirected: nothing is added, changed or deleted here.
NOTHING_THERE = {f"APP/MODEL/{view}" for view in ("add/", "KEY/", "KEY/history/", "KEY/delete/")}

# Their output is machine-readable in any case.
WITHOUT_JSON = ("export",)


def run_json(*words):
    out = StringIO()
    call_command(*words, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.usefixtures("books")
def test_every_list_is_browsed_as_the_console_shows_it(staff):
    for model, address in zip(models(), lists(), strict=True):
        shown = staff.get(address).context["cl"].result_list
        keys = [str(row[model._meta.pk.name]) for row in run_json("browse", model._meta.model_name)]
        assert keys == [str(each.pk) for each in shown], address


def test_a_list_is_searched_and_filtered_as_by_its_address(order):
    (stream,) = run_json("browse", "stream", "--search", f"order-{order}")
    assert stream["last_version"] == "2"
    found = run_json("browse", "event", "--search", order, "--filter", "type=orders.order_placed")
    assert [each["stream"] for each in found] == [f"order-{order}"]
    before = Event.objects.filter(position__lt=found[0]["position"]).latest("position")
    assert (
        run_json("browse", "event", "--filter", f"beyond={found[0]['position']}")[0]["position"]
        == before.position
    )
    with pytest.raises(CommandError, match="Unknown filter"):
        call_command("browse", "event", "--filter", "data__icontains=a")
    with pytest.raises(CommandError, match="Known lists: .*stream"):
        call_command("browse", "nothing")
    with pytest.raises(CommandError, match="No row 'nobody' in stream"):
        call_command("browse", "stream", "nobody")


def test_a_row_is_shown_with_what_is_personal_hidden_until_somebody_says_why(order):
    position = str(Event.objects.get(stream=f"order-{order}", version=1).position)
    assert run_json("browse", "event", position)["data"]["address"]["name"] == HIDDEN
    assert run_json("browse", "shipmentview", order)["address"] == HIDDEN
    assert (
        run_json("browse", "event", position, "--reveal", "she asked")["data"]["address"]["name"]
        == "Ada"
    )
    (written,) = OperatorAction.objects.all()
    assert (written.action, written.subject, written.reason) == (
        "reveal",
        f"event {position}",
        "she asked",
    )
    assert written.details == {"command": f"browse event {position}"}
    with pytest.raises(CommandError, match="A reason is required"):
        call_command("browse", "event", position, "--reveal", "")


def test_states_and_processes_hide_what_is_personal(order):
    assert run_json("sagas", "show", "orders.fulfilment", order)["state"]["method"] == HIDDEN
    assert run_json("sagas", "list")[0]["state"]["method"] == HIDDEN
    shown = run_json("sagas", "show", "orders.fulfilment", order, "--reveal", "she asked")
    assert shown["state"]["method"] == "tok_visa"
    assert OperatorAction.objects.get().subject == f"orders.fulfilment {order}"


@pytest.mark.usefixtures("shop")
def test_all_about_an_order_is_told_as_its_page_shows_it(staff):
    order_id = place()
    with busy("payments"):
        for subscription in ("orders.details", "orders.fulfilment"):
            step.step(subscription)
    Parked.objects.create(
        subscription="payments.gateway", position=1, key=f"payment-{order_id}", status="dead"
    )
    page = staff.get(f"/admin/orders/orderdetails/{order_id}/change/").context["dossier"]
    output = run_json("dossier", order_id)
    assert set(output) == {*page._fields, *page.pending._fields, "correlations"} - {"pending"}
    assert [(each["stream"], each["fields"]) for each in output["streams"]] == [
        (each.stream, dict(each.fields)) for each in page.streams
    ]
    assert [(each["saga"], each["status"]) for each in output["processes"]] == [
        ("orders.fulfilment", "PAYMENT_PENDING")
    ]
    assert [(each["topic"], each["type"]) for each in output["outgoing"]] == [
        ("payments", "payments.process_payment")
    ]
    assert [(each["subscription"], each["status"]) for each in output["parked"]] == [
        ("payments.gateway", "dead")
    ]
    assert [(each["position"], each["data"]) for each in output["timeline"]] == [
        (each.event.position, each.event.data) for each in page.timeline
    ]
    assert output["timeline"][0]["data"]["address"]["name"] == HIDDEN
    assert (
        run_json("dossier", order_id, "--reveal", "she asked")["timeline"][0]["data"]["address"][
            "name"
        ]
        == "Ada"
    )
    assert OperatorAction.objects.get().details == {"command": f"dossier {order_id}"}
    with pytest.raises(CommandError, match="Nothing is known about 'nobody'"):
        call_command("dossier", "nobody")


def test_all_about_an_order_is_read_by_people_too(order):
    out = StringIO()
    call_command("dossier", order, stdout=out)
    for line in (
        f"order-{order} at version 2",
        "  status: confirmed",
        "saga orders.fulfilment: COMPLETED at",
    ):
        assert f"\n{line}" in f"\n{out.getvalue()}"
    assert f"order-{order}@2 orders.order_confirmed" in out.getvalue()
    assert "Ada" not in out.getvalue()


@pytest.mark.usefixtures("order")
def test_the_overview_is_told_part_by_part_as_the_page_shows_it(staff):
    heartbeats.forget_own()
    heartbeats.note(heartbeats.WORKER)
    Parked.objects.create(
        subscription="payments.gateway", position=1, key="payment-1", status="dead"
    )
    metrics.take()
    # Without seconds, which differ between the two.
    shown, output = (
        staff.get("/admin/eventstore/subscription/overview/").context,
        run_json("overview"),
    )
    assert set(output) == set(overview.overview())
    assert [(each["name"], each["state"], each["level"]) for each in output["indicators"]] == [
        each[:3] for each in shown["indicators"]
    ]
    assert ("Dead letters", "some", "bad") in {
        (each["name"], each["state"], each["level"]) for each in output["indicators"]
    }
    subscriptions = {each["name"]: each for each in output["subscriptions"]}
    assert list(subscriptions) == [each.name for each in shown["subscriptions"]]
    assert (
        subscriptions["payments.gateway"]["state"],
        subscriptions["payments.gateway"]["dead"],
    ) == ("dead letters", 1)
    assert (
        [tuple(each.values()) for each in output["sagas"]]
        == shown["sagas"]
        == [("orders.fulfilment", "COMPLETED", 1)]
    )
    assert [(each["title"], len(each["points"])) for each in output["charts"]] == [
        (each.title, len(each.points)) for each in shown["charts"]
    ]
    assert {each["events"] for each in output["charts"][0]["points"]} == {None, 0}, (
        "one sample was taken"
    )
    assert [each["name"] for each in output["heartbeats"]] == [
        each.name for each in shown["heartbeats"]
    ]


@pytest.mark.usefixtures("order")
def test_a_subscription_is_told_with_its_rate_and_its_trend_as_its_page_shows_it(staff):
    now = datetime.now(UTC)
    for ago, position in ((60, 100), (0, 700)):
        at = now - timedelta(seconds=ago)
        Sample.objects.create(
            subscription="orders.details",
            slot=int(at.timestamp() // 30),
            at=at,
            position=position,
            events=0,
            seconds=1.5,
        )
    shown = staff.get("/admin/eventstore/subscription/orders.details/change/").context
    output = run_json("overview", "orders.details")
    assert (output["name"], output["position"], output["events"]) == (
        "orders.details",
        shown["lag"].position,
        0,
    )
    assert output["rate"] == shown["rate"] == 10.0
    assert [each["summary"] for each in output["charts"]] == [
        each.summary for each in shown["charts"]
    ]
    assert max(each["seconds"] or 0 for each in output["charts"][0]["points"]) == 1.5
    out = StringIO()
    call_command("overview", "orders.details", stdout=out)
    assert "rate: 10.0 positions a second" in out.getvalue()
    with pytest.raises(CommandError, match="Unknown subscription 'nobody'. Known .*orders.details"):
        call_command("overview", "nobody")


@pytest.mark.usefixtures("order")
def test_the_overview_is_read_by_people_too():
    out = StringIO()
    call_command("overview", stdout=out)
    lines = out.getvalue().splitlines()
    assert "Dead letters: none; nothing is parked" in lines
    assert "The last hour: no samples" in lines
    assert "subscription payments.gateway: up to date; 0 messages behind; parked 0, dead 0" in lines
    assert "saga orders.fulfilment COMPLETED: 1" in lines


def test_a_stream_is_compared_with_an_earlier_version(order):
    output = run_json("stream_state", f"order-{order}", "--since", "1")
    assert output["changed"] == {"status": {"before": "placed", "after": "confirmed"}}


@pytest.mark.usefixtures("shop")
def test_a_dead_letter_is_told_without_the_person_and_settled():
    order_id = place("tok_timeout", name="Zoë Canary")
    drain()
    Parked.objects.update(status="dead", error="TimeoutError: tok_timeout did not answer")
    (letter,) = run_json("dead_letters", "list")
    assert letter["error"] == f"TimeoutError: {HIDDEN} did not answer"
    position = str(letter["position"])
    assert (
        run_json("dead_letters", "show", "payments.gateway", position)["message"]["method"]
        == HIDDEN
    )
    shown = run_json(
        "dead_letters", "show", "payments.gateway", position, "--reveal", "what did they pay by?"
    )
    assert shown["message"] == {
        "order_id": order_id,
        "amount": {"amount": 900, "currency": "EUR", "exponent": 2},
        "method": "tok_timeout",
    }
    gone = run_json(
        "dead_letters", "discard", "payments.gateway", position, "--reason", "paid by hand"
    )
    assert gone == {"subscription": "payments.gateway", "count": 1}


@pytest.mark.usefixtures("shop")
def test_an_open_order_is_cancelled_with_a_reason():
    order_id = place()
    step.step("orders.fulfilment")
    at = str(run_json("sagas", "show", "orders.fulfilment", order_id)["position"])
    retried = run_json(
        "sagas", "retry", "orders.fulfilment", order_id, "--at", at, "--reason", "lost"
    )
    assert retried["status"] == "PAYMENT_PENDING"
    assert run_json("cancel_order", order_id, "--reason", "a bot") == {
        "order_id": order_id,
        "cancelled": True,
    }
    drain()
    assert SagaState.objects.get(key=order_id).status == "COMPENSATED"
    done = run_json("operator_actions", "--subject", f"order {order_id}")
    assert [(each["action"], each["reason"]) for each in done] == [("cancel", "a bot")]
    with pytest.raises(CommandError, match="OrderNotOpen|OrderNotFound"):
        call_command("cancel_order", "nobody", "--reason", "x")


def table():
    """The addresses and the command of each row in the guide's table."""
    rows = re.findall(
        r"^\| [^|]+ \| (`[^|]+`) \| `manage.py ([^|]+)` \|$", GUIDE.read_text(), re.MULTILINE
    )
    return [
        (re.findall("`([^`]+)`", addresses), shlex.split(command)) for addresses, command in rows
    ]


def test_whatever_the_console_does_the_guide_names_a_command_for():
    named = {address for addresses, _ in table() for address in addresses}
    forgotten = routes() - named - NOTHING_THERE
    assert not forgotten, (
        f"docs/guide/console.md names no command for {sorted(forgotten)}: write one, and a row."
    )
    common = {
        address.replace("APP/MODEL", f"{model._meta.app_label}/{model._meta.model_name}")
        for address in routes()
        for model in models()
    }
    gone = named - routes() - common
    assert not gone, f"docs/guide/console.md names {sorted(gone)}, which the console has not."


@pytest.mark.parametrize("words", [words for _, words in table()], ids=" ".join)
def test_each_command_of_the_guide_takes_what_the_guide_says(words):
    name, *arguments = words
    command = load_command_class(get_commands()[name], name)
    command.create_parser("manage.py", name).parse_args(arguments)
    assert "--json" in arguments or name in WITHOUT_JSON


@pytest.mark.django_db
def test_a_list_of_processes_begins_with_the_unfinished_and_says_how_many_it_leaves_out(capsys):
    for key, columns in {
        "ended": {"status": "COMPLETED"},
        "waits": {"status": "PAYING", "deadline_at": datetime.now(UTC)},
        "stuck": {"status": "NEEDS_ATTENTION"},
    }.items():
        SagaState.objects.create(
            saga="orders.fulfilment",
            key=key,
            state={},
            position=1,
            correlation_id=uuid4(),
            **columns,
        )
    call_command("sagas", "list", "--limit", "2")
    *rows, last = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in rows] == ["stuck", "waits"]
    assert last == "2 of 3; --limit shows more."
    call_command("sagas", "list")
    assert len(capsys.readouterr().out.splitlines()) == 3
