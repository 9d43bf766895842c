"""Exports: the events of a list as lines of JSON; a stream as a test fixture."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventstore import log, registry
from eventstore.console import links
from eventstore.log.search import EventFilter
from eventstore.models import Event, OperatorAction
from eventstore.operations import export as exporting
from eventstore.privacy.personal_data import HIDDEN

from .conftest import member, place_many

NDJSON = "/admin/eventstore/event/export/events.ndjson"

A_TEST = """
from eventstore.privacy.personal_data import HIDDEN
from orders.commands import CancelOrder
from orders.events import OrderCancelled
from orders.order.aggregate import OrderNotOpen

from {name} import EVENTS, {name}


def test_what_was_placed_can_be_cancelled({name}):
    assert EVENTS[0].address.name == HIDDEN
    {name}.when(CancelOrder("{order}", "why not")).then(OrderCancelled("{order}", "why not"))
"""


@pytest.fixture
def privacy(db):
    call_command("console_roles", "--view", "onlookers", "--reveal", "privacy")
    return member("ada", "privacy")


def lines(answer):
    return [json.loads(line) for line in b"".join(answer).splitlines()]


def test_all_that_the_list_shows_is_exported_in_the_order_of_the_log(staff, order):
    for query in (
        "",
        "?type=orders.order_placed",
        f"?q={order}",
        f"?q=order-{order}&type=orders.order_confirmed",
        f"?q={Event.objects.get(type='orders.order_placed').correlation_id}",
        f"?since={_later(minutes=-5)}",
        f"?until={_later(minutes=-5)}",
        f"?since={_later(minutes=-5)}&until={_later(minutes=5)}&type=payments.payment_completed",
    ):
        shown = staff.get(f"/admin/eventstore/event/{query}")
        page = staff.get(shown.context["buttons"][0].address)
        exported = lines(staff.get(page.context["export"].address))
        assert [each["position"] for each in exported] == [
            each.position for each in shown.context["cl"].result_list
        ][::-1]
        assert ("Events", len(exported)) in page.context["export"].what


def test_a_line_is_the_event_and_what_is_personal_is_hidden(staff, order):
    (line,) = lines(staff.get(f"{NDJSON}?q=order-{order}&type=orders.order_placed"))
    event = Event.objects.get(stream=f"order-{order}", version=1)
    assert line["data"] == event.data | {
        "address": {"name": HIDDEN, "street": "", "city": "", "postcode": HIDDEN, "country": ""},
        "payment_method": HIDDEN,
    }
    assert (line["id"], line["stream"], line["version"]) == (str(event.id), event.stream, 1)
    assert line["schema_version"] == 1
    assert not OperatorAction.objects.exists()


def test_what_is_personal_is_exported_for_a_reason(privacy, order):
    answer = privacy.post(f"{NDJSON}?type=orders.order_placed", {"reason": "the court asks"})
    (line,) = lines(answer)
    assert line["data"]["address"]["name"] == "Ada"
    assert "attachment" in answer["Content-Disposition"]
    (written,) = OperatorAction.objects.all()
    assert (written.who, written.action, written.subject, written.reason) == (
        "ada",
        "reveal",
        "events",
        "the court asks",
    )
    assert written.details == {"page": f"{NDJSON}?type=orders.order_placed"}
    assert privacy.post(NDJSON, {"reason": ""}).status_code == 409
    assert member("grace", "onlookers").post(NDJSON, {"reason": "I want to"}).status_code == 403


@pytest.mark.usefixtures("shop")
def test_no_more_than_a_page_of_events_is_held_at_once(monkeypatch):
    monkeypatch.setattr(exporting, "PAGE", 10)
    place_many(5)
    with CaptureQueriesContext(connection) as queries:
        exported = exporting.lines(EventFilter(), revealed=False)
        next(exported)
        held = len(queries)
        rest = sum(1 for _ in exported)
    assert held == 3, "the fence, the sizes of a page, and the page"
    pages = [
        each["sql"]
        for each in queries
        if '"data"' in each["sql"] and "pg_column_size" not in each["sql"]
    ]
    assert len(pages) == (rest + 1) // 10 + 1
    assert rest + 1 == Event.objects.count()


@pytest.mark.parametrize("query", ["since=yesterday", "until=0001-01-01T00:00:00"])
def test_what_is_no_time_is_told(staff, query):
    page = staff.get(f"/admin/eventstore/event/export/?{query}").content.decode()
    assert "expected a time like" in page
    assert staff.get(f"{NDJSON}?{query}").status_code == 400


def test_a_stream_becomes_a_fixture_that_runs(staff, order, tmp_path):
    page = staff.get(f"/admin/eventstore/stream/order-{order}/change/?version=1")
    export = staff.get(page.context["buttons"][0].address).context["export"]
    source = staff.get(export.address)
    name = exporting.name(f"order-{order}")
    assert source["Content-Disposition"] == f'attachment; filename="{name}.py"'
    assert source.content.decode() == export.preview
    (tmp_path / f"{name}.py").write_bytes(source.content)
    (tmp_path / "test_it.py").write_text(A_TEST.format(name=name, order=order))
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            str(tmp_path),
        ],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": f"{os.getcwd()}:{tmp_path}", "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_a_fixture_is_revealed_for_a_reason(privacy, order):
    address = f"/admin/eventstore/stream/order-{order}/fixture/given.py?version=1"
    assert "'Ada'" not in privacy.get(address).content.decode()
    assert "'Ada'" in privacy.post(address, {"reason": "a bug with her name"}).content.decode()
    assert OperatorAction.objects.get().subject == f"order-{order}"


def test_what_is_written_is_what_happened(order):
    for stream in Event.objects.values_list("stream", flat=True).distinct():
        scope = {}
        last = Event.objects.filter(stream=stream).count()
        exec(exporting.fixture(stream, last, revealed=True), scope)
        assert scope["EVENTS"] == tuple(each.body for each in log.read_stream(stream)), stream


def test_a_stream_too_long_for_a_test_says_so(staff, order, monkeypatch):
    monkeypatch.setattr(exporting, "MAX_EVENTS", 1)
    assert (
        "A fixture has at most 1 events"
        in staff.get(f"/admin/eventstore/stream/order-{order}/fixture/").content.decode()
    )
    assert staff.get(f"/admin/eventstore/stream/order-{order}/fixture/given.py").status_code == 409
    assert staff.get("/admin/eventstore/stream/order-unknown/fixture/").status_code == 404


def test_a_stream_of_no_aggregate_makes_no_fixture(order, monkeypatch):
    monkeypatch.setattr(registry, "aggregates", dict)
    with pytest.raises(CommandError, match="has no aggregate in the wiring"):
        call_command("export", "fixture", f"order-{order}")
    with pytest.raises(CommandError, match="has no event"):
        call_command("export", "fixture", "order-unknown")


def test_the_commands_write_the_same(staff, order, tmp_path):
    out = StringIO()
    call_command("export", "events", "--term", order, "--type", "orders.order_placed", stdout=out)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == lines(
        staff.get(f"{NDJSON}?q={order}&type=orders.order_placed")
    )
    file = tmp_path / "events.ndjson"
    call_command(
        "export", "events", "--output", str(file), "--reveal", "the court asks", stdout=StringIO()
    )
    assert '"name":"Ada"' in file.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["events.ndjson"]
    assert OperatorAction.objects.get().reason == "the court asks"
    with pytest.raises(CommandError, match="A reason is required"):
        call_command("export", "events", "--reveal", " ")
    out = StringIO()
    call_command("export", "fixture", f"order-{order}", "--version", "1", stdout=out)
    address = links.page("stream", f"order-{order}").replace(
        "change/", "fixture/given.py?version=1"
    )
    assert out.getvalue() == staff.get(address).content.decode()


def _later(**by):
    placed = Event.objects.get(type="orders.order_placed").recorded_at
    return (placed + timedelta(**by)).strftime("%Y-%m-%dT%H:%M:%S")
