"""A whole file through the real path, and the messages when the import fails."""

import csv
import json

import pytest

from eventstore.models import Event
from inventory.models import StockLevel
from orders.models import BookingView, OrderDetails, ProductView, ReturnView
from payments.commands import ProcessPayment
from payments.payment import PAYMENT
from retail_import.importing import issuing
from retail_import.importing.translation import CANCELLED
from retail_import.retail import opening_stock

from ..retail.given import file, line
from .conftest import ORDERS

EXCEPTIONS = [
    ("C700017", "20001", "10002", "4"),
    ("C700018", "20001", "10002", "1"),
    ("C700022", "20002", "10003", "2"),
    ("C700028", "20007", "10011", "5"),
]


def table(run):
    return run.out[run.out.index("What went in") :]


def count(type_):
    return Event.objects.filter(type=type_).count()


def test_every_total_comes_out(import_orders, dataset):
    run = import_orders(dataset)

    assert run.code == 0, run
    assert "DIFFERS" not in run.out
    assert OrderDetails.objects.filter(status="CONFIRMED").count() == ORDERS
    closing = {
        each.sku: each.closing
        for each in opening_stock.read(dataset.with_name("minimal_opening_stock.csv"))
    }
    assert dict(StockLevel.objects.values_list("sku", "available")) == closing


def test_an_order_keeps_what_the_file_says_of_it(import_orders, dataset):
    import_orders(dataset)

    order = OrderDetails.objects.get(reference="700003")
    assert (order.customer_id, order.total, order.currency, order.exponent) == (
        "",
        129_460,
        "GBP",
        3,
    )
    assert [each["sku"] for each in order.lines] == ["DCGS0001", "PADS"]
    assert [each["code"] for each in order.charges] == ["DOT", "gift_0001_20"]
    assert order.address["country"] == "United Kingdom"
    assert f"{order.placed_at:%Y-%m-%d %H:%M}" == "2010-12-01 09:00"


def test_credit_notes_become_returns_credits_and_a_ledger(import_orders, dataset, tmp_path):
    run = import_orders(dataset, "--exceptions", tmp_path / "exceptions.csv")

    whole = OrderDetails.objects.get(reference="700023")
    assert (whole.status, whole.return_status, whole.payment_status) == (
        "CONFIRMED",
        "RETURNED",
        "REFUNDED",
    )
    [back] = ReturnView.objects.filter(order_id=whole.order_id)
    assert (back.reason, back.refunded, back.status) == (CANCELLED, whole.total, "COMPLETED")
    assert set(ReturnView.objects.values_list("status", flat=True)) == {"COMPLETED"}
    guest = BookingView.objects.get(reference="C700019")
    assert (guest.customer_id, guest.amount, guest.has_no_sale) == ("", -15_900, False)
    assert sorted(
        BookingView.objects.filter(kind="ADJUSTMENT").values_list("amount", flat=True)
    ) == [
        -11_062_060,
        -11_062_060,
        11_062_060,
    ]
    [ledger] = [row for row in run.out.splitlines() if "ledger by the log" in row]
    assert ledger.count("-12,111.680") == 3
    assert StockLevel.objects.get(sku="10010").returned == 80_995


def test_credits_to_which_no_sale_was_found_are_a_list(import_orders, dataset, tmp_path):
    path = tmp_path / "exceptions.csv"
    run = import_orders(dataset, "--exceptions", path)

    listed = [
        (row["invoice"], row["customer"], row["sku"], row["units"])
        for row in csv.DictReader(path.open())
    ]
    assert listed == EXCEPTIONS
    assert f"{len(EXCEPTIONS)} credit lines without a sale are written to" in run.out


def test_a_product_is_listed_as_it_was_first_sold(import_orders, dataset):
    import_orders(dataset)

    kettle = ProductView.objects.get(sku="10001A")
    assert (kettle.name, kettle.price, kettle.exponent, kettle.offered) == (
        "RED ENAMEL KETTLE",
        2550,
        3,
        True,
    )
    assert not ProductView.objects.filter(sku="10011").exists(), "credited, but never sold"


def test_each_order_is_a_business_transaction_of_its_own(import_orders, dataset):
    import_orders(dataset)

    placed = Event.objects.filter(type="orders.order_placed")
    assert placed.values("correlation_id").distinct().count() == ORDERS


def test_a_second_run_says_so_and_imports_nothing(import_orders, dataset):
    first = import_orders(dataset)
    events = Event.objects.count()
    second = import_orders(dataset)

    assert second.code == 0
    assert "is imported already" in second.out
    assert table(second) == table(first)
    assert Event.objects.count() == events


@pytest.mark.parametrize("batch", [1, 2, 300])
def test_stock_down_to_nothing_is_enough(import_orders, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(issuing, "BATCH", batch)
    path = file(
        tmp_path,
        line("700001", quantity=5, price="0", customer=""),
        line("700002", quantity=5),
        line("C700003", quantity=-5),
        line("700004", quantity=-4, price="0", customer=""),
        line("700005", quantity=1),
    )
    stock = tmp_path / "minimal_opening_stock.csv"
    stock.write_text(",".join(opening_stock.HEADER) + "\n10001A,0,0,0,5\n")

    run = import_orders(path)

    assert run.code == 0, run
    assert StockLevel.objects.get(sku="10001A").available == 0


def test_missing_stock_is_reported_before_anything_is_written(import_orders, tmp_path):
    path = file(
        tmp_path, line("700001", quantity=5), line("700002", quantity=-3, price="0", customer="")
    )

    for dry in ([], ["--dry-run"]):
        run = import_orders(path, *dry)

        assert run.code == 1
        assert "1 orders would be cancelled, and 1 stock adjustments refused" in run.error
        assert "order 700001 (out of stock: 10001A)" in run.error
        assert "-3 of 10001A, invoice 700002: RED KETTLE" in run.error
        assert not Event.objects.exists()


def test_a_call_that_nobody_answers_is_told(import_orders, tmp_path, monkeypatch):
    monkeypatch.setattr("eventstore.outbox.parked.ATTEMPTS", 1)
    monkeypatch.setitem(PAYMENT.decide, ProcessPayment, fails)
    path = file(tmp_path, line("700001", code="POST", quantity=1))

    run = import_orders(path)

    assert run.code == 1
    assert "the subscriptions stopped before every order was final" in run.error
    assert "payments at " in run.error
    assert "no line to the bank" in run.error


def fails(payment, command):
    raise ConnectionError("no line to the bank")


def test_other_totals_than_expected_differ(import_orders, dataset, folder):
    expected = json.loads((folder / "expected_totals.json").read_text())
    expected["orders"]["value_milli_gbp"] += 1
    expected["grand"]["countries"] += 1
    other = folder / "other.json"
    other.write_text(json.dumps(expected))

    run = import_orders(dataset, "--expected", other)

    assert run.code == 1
    different = [row for row in run.out.splitlines() if "DIFFERS" in row]
    assert [row.split("│")[1].strip() for row in different] == [
        "value of orders, GBP",
        "paid, GBP",
        "grand.countries",
    ]


def test_totals_of_another_file_that_lie_beside_it_are_let_be(import_orders, folder):
    path = folder / "shorter.csv"
    path.write_text(
        "\n".join((folder / "online-retail-dataset.csv").read_text().splitlines()[:4]) + "\n"
    )
    (folder / "minimal_opening_stock.csv").write_text(
        ",".join(opening_stock.HEADER) + "\n10001A,6,-6,0,1\n10002,12,-12,0,1\n"
    )

    assert import_orders(path).code == 0


def test_an_invoice_that_another_file_brought_is_not_imported_twice(
    import_orders, dataset, tmp_path
):
    import_orders(dataset)
    events = Event.objects.count()
    run = import_orders(file(tmp_path, line("700001")))

    assert run.code == 1
    assert run.error == "retail.csv: Line 2: invoice 700001 is in already, with other lines."
    assert Event.objects.count() == events
