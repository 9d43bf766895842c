"""An import is a plan first: everything that is wrong, or would go wrong, is known before anything
is written."""

import csv
import json
import os
import threading
from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import OperationalError

from access.authorization import SUPPORT
from eventstore.commands import bus
from eventstore.models import Event
from eventstore.money import Money
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from inventory.models import StockLevel
from orders.commands import DelistProduct, ListProduct, RefundOrder
from orders.models import BookingView, OrderDetails, ProductView
from orders.order.aggregate import OrderNotOpen
from payments.models import SandboxEntry
from retail_import.importing import translation
from shipping.models import SandboxParcel
from tests.api.conftest import Api

from ..retail.given import HEADER, file, line

COMPUTED = ("--opening-stock", "computed")


def test_a_dry_run_writes_nothing_and_says_what_would_happen(import_orders, tmp_path):
    path = file(tmp_path, line("600001", quantity=4), line("C600002", quantity=-5))

    run = import_orders(path, "--dry-run", *COMPUTED)

    assert run.code == 0, run
    assert "to import: 1 orders, 1 credit notes" in run.out
    assert "opening stock (computed): 4 units of 1 products are received" in run.out
    assert "1 lines find no sale" in run.out
    assert "this was a dry run" in run.out
    assert not Event.objects.exists()


def test_the_computed_opening_stock_is_the_least_that_suffices(import_orders, tmp_path):
    path = file(
        tmp_path,
        line("600001", quantity=3, price="0", customer=""),
        line("600002", quantity=5),
        line("C600003", quantity=-1),
        line("600004", quantity=4),
    )
    run = import_orders(path, *COMPUTED)
    assert run.code == 0, run
    stock = StockLevel.objects.get(sku="10001A")
    assert (stock.received, stock.available) == (5, 0)


def test_stock_that_is_there_today_is_not_sold_in_the_past(import_orders, tmp_path):
    bus.dispatch(ReceiveStock("10001A", 50))
    drain()
    assert import_orders(file(tmp_path, line("600001", quantity=30)), *COMPUTED).code == 0
    assert StockLevel.objects.get(sku="10001A").available == 50


def test_todays_catalogue_stays(import_orders, tmp_path):
    price = Money(999, "GBP", 2)
    bus.dispatch(ListProduct("10001A", "KETTLE OF TODAY", price))
    bus.dispatch(ListProduct("10002", "NO LONGER", price))
    bus.dispatch(DelistProduct("10002"))
    drain()

    run = import_orders(
        file(tmp_path, line("600001"), line("600001", code="10002"), line("600001", code="10003")),
        *COMPUTED,
    )

    assert run.code == 0, run
    assert "1 products are added, 2 that it knows stay as they are" in run.out
    assert list(
        ProductView.objects.order_by("sku").values_list("sku", "name", "price", "offered")
    ) == [
        ("10001A", "KETTLE OF TODAY", 999, True),
        ("10002", "NO LONGER", 999, False),
        ("10003", "RED KETTLE", 2550, True),
    ]


def test_nothing_leaves_the_house(import_orders, dataset):
    """Neither the payment gateway nor the carrier is called, for orders or for credit notes."""
    assert import_orders(dataset).code == 0
    assert not SandboxEntry.objects.exists()
    assert not SandboxParcel.objects.exists()
    calls = ("payments.payment_requested", "payments.part_refund_requested")
    assert not Event.objects.filter(type__in=(*calls, "shipping.shipment_requested")).exists()


def test_an_imported_order_is_not_refunded_here(import_orders, tmp_path):
    assert import_orders(file(tmp_path, line("600001")), *COMPUTED).code == 0
    with pytest.raises(OrderNotOpen, match="paid elsewhere"):
        bus.dispatch(RefundOrder(translation.order_id("600001"), "goodwill"))


def test_each_line_of_a_ledger_invoice_is_booked(import_orders, tmp_path):
    ledger = {"code": "B", "quantity": 1, "customer": ""}
    run = import_orders(
        file(
            tmp_path,
            line("A600001", price="-10", description="bad debt", **ledger),
            line("A600001", price="-5", description="and another", **ledger),
        )
    )
    assert run.code == 0, run
    assert set(BookingView.objects.values_list("reference", "amount", "reason")) == {
        ("A600001", -10_000, "bad debt"),
        ("A600001", -5_000, "and another"),
    }


def test_a_file_of_adjustments_alone(import_orders, tmp_path):
    found = {"price": "0", "customer": ""}
    run = import_orders(
        file(tmp_path, line("600001", quantity=9, **found), line("600002", quantity=-3, **found))
    )
    assert run.code == 0, run
    assert StockLevel.objects.get(sku="10001A").available == 6


def test_dates_that_may_be_either_are_asked_for(import_orders, tmp_path):
    path = file(tmp_path, line("600001", at="1/2/2011 8:26"))
    run = import_orders(path, *COMPUTED, dates="")
    assert run.code == 1
    assert "Say --dates M/D/Y or --dates D/M/Y" in run.error
    assert not Event.objects.exists()
    assert import_orders(path, *COMPUTED, dates="D/M/Y").code == 0
    assert f"{OrderDetails.objects.get().placed_at:%Y-%m-%d}" == "2011-02-01"


def test_all_faults_are_reported_and_may_be_left_out(import_orders, tmp_path):
    path = file(
        tmp_path,
        line("600001"),
        line("600002", price="x"),
        line("600002", code="10002"),
        line("600003", quantity=0, description="=HYPERLINK(1)"),
        "no fields",
        line("600004", quantity=2),
    )
    refused = import_orders(path, *COMPUTED)
    assert refused.code == 1
    assert [text.partition(":")[0].split()[-1] for text in refused.error.splitlines()[:3]] == [
        *("retail.csv", "5", "6")
    ]
    assert not Event.objects.exists()
    exceptions = tmp_path / "exceptions.csv"

    run = import_orders(path, *COMPUTED, "--exceptions", exceptions)

    assert run.code == 0, run
    assert set(OrderDetails.objects.values_list("reference", flat=True)) == {"600001", "600004"}
    rows = list(csv.DictReader(exceptions.open()))
    assert [(row["line"], row["invoice"]) for row in rows] == [
        ("3", "600002"),
        ("5", "600003"),
        ("6", "no fields"),
    ]
    assert rows[1]["description"] == "'=HYPERLINK(1)", "a spreadsheet must not run it"


def test_a_formula_in_a_credit_without_a_sale_is_neutralised(import_orders, tmp_path):
    exceptions = tmp_path / "exceptions.csv"
    path = file(tmp_path, line("C600001", quantity=-2, description='"=1+1"'))
    assert import_orders(path, "--exceptions", exceptions).code == 0
    [row] = csv.DictReader(exceptions.open())
    assert (row["description"], row["units"], row["unit_price"]) == ("'=1+1", "2", "2.550")


@pytest.mark.parametrize("where", ["", "missing/exceptions.csv"])
def test_a_place_that_cannot_be_written_is_refused_first(import_orders, tmp_path, where):
    run = import_orders(file(tmp_path, line()), *COMPUTED, "--exceptions", tmp_path / where)
    assert run.code == 1
    assert "cannot be written" in run.error
    assert not Event.objects.exists()


def test_a_total_that_no_column_can_hold_is_refused_first(import_orders, tmp_path):
    most = [line("600002", quantity=9_999_999, price="9999999.999")] * 93
    run = import_orders(file(tmp_path, line("600001"), *most), *COMPUTED)
    assert run.code == 1
    assert "Line 3: the total of invoice 600002 is too large" in run.error
    assert not Event.objects.exists()


def test_a_pipe_is_imported(import_orders, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = f"{HEADER}\n{line()}\n".encode()
    writer = threading.Thread(target=pipe.write_bytes, args=(text,))
    writer.start()
    run = import_orders(pipe, *COMPUTED)
    writer.join(5)
    assert run.code == 0, run


def test_a_lock_timeout_is_a_sentence_and_the_import_continues(import_orders, dataset, monkeypatch):
    monkeypatch.setattr("retail_import.importing.issuing.BATCH", 4)
    dispatch, left = bus.dispatch_requests, 3

    def times_out(*args, **options):
        nonlocal left
        left -= 1
        if not left:
            raise OperationalError("canceling statement due to lock timeout\nDETAIL: of a lock")
        return dispatch(*args, **options)

    monkeypatch.setattr(bus, "dispatch_requests", times_out)
    run = import_orders(dataset)
    assert run.code == 1
    assert "refused an append: canceling statement due to lock timeout" in run.error
    assert "Start the import again to continue" in run.error
    assert import_orders(dataset).code == 0


def test_the_progress_says_what_is_read_and_no_false_time(import_orders, dataset):
    run = import_orders(dataset)
    assert run.out.startswith("Reading online-retail-dataset.csv.")
    assert " 0 s left" not in run.out


def test_an_imported_order_is_found_by_its_invoice_number(import_orders, tmp_path):
    path = file(tmp_path, line("600001"), line("600003"), line("600002", at="12/2/2010 8:26"))
    assert import_orders(path, *COMPUTED).code == 0
    found = OrderDetails.objects.get(reference="600002")
    out = StringIO()
    call_command("dossier", "600002", "--json", stdout=out)
    assert f'"order-{found.order_id}"' in out.getvalue()
    out = StringIO()
    call_command("browse", "orderdetails", "--search", "600002", "--json", stdout=out)
    assert [row["order_id"] for row in json.loads(out.getvalue())] == [found.order_id]
    user = User.objects.create(username="support")
    user.groups.add(Group.objects.get_or_create(name=SUPPORT)[0])
    api = Api(user)
    listed = api.get("/api/queries/orders/?reference=600002").json()["data"]
    assert [each["reference"] for each in listed] == ["600002"]
    newest = [each["reference"] for each in api.get("/api/queries/orders/").json()["data"]]
    assert newest[0] == "600002", "the order's own time, not that of the import"
    out = StringIO()
    call_command("browse", "orderdetails", "--json", stdout=out)
    assert json.loads(out.getvalue())[0]["reference"] == "600002"
