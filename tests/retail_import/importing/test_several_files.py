"""Files that follow one another, or overlap, come to what one file with all of it comes to."""

import csv
from itertools import groupby

from django.core.management import call_command
from django.db.models import Count, Sum

from eventstore.commands import repository
from eventstore.models import Event
from eventstore.outbox import cursors
from inventory.models import StockLevel
from orders.models import BookingView, OrderDetails, ProductView, ReturnView
from payments.models import PaymentView
from shipping.models import ShipmentView

from ..retail.given import file, line

COMPUTED = ("--opening-stock", "computed")


def state():
    """What the shop has come to, without ids and times of recording."""
    return {
        "orders": list(
            OrderDetails.objects.order_by("reference").values_list(
                *("reference", "status", "payment_status", "reservation_status", "shipment_status"),
                *("total", "refunded", "return_status", "returned", "placed_at"),
            )
        ),
        "returns": list(
            ReturnView.objects.order_by("return_id").values_list(
                "return_id", "reference", "status", "reason", "lines", "refunded"
            )
        ),
        "bookings": list(
            BookingView.objects.order_by("booking_id").values_list(
                "booking_id", "reference", "amount", "lines", "charges"
            )
        ),
        "stock": list(
            StockLevel.objects.order_by("sku").values_list(
                "sku", "received", "adjusted", "reserved", "returned", "available"
            )
        ),
        "products": list(ProductView.objects.order_by("sku").values_list("sku", "name", "price")),
        "payments": PaymentView.objects.aggregate(n=Count("pk"), sum=Sum("amount")),
        "shipments": ShipmentView.objects.count(),
    }


def invoices_of(dataset):
    """The lines of the file, in groups of one invoice each."""
    head, *lines = dataset.read_text().splitlines()
    return head, [list(group) for _, group in groupby(lines, lambda each: each.split(",")[0])]


def part(folder, name, head, groups):
    path = folder / name
    path.write_text("\n".join([head, *(line for group in groups for line in group)]) + "\n")
    return path


def test_three_overlapping_files_come_to_what_one_file_does(import_orders, dataset, tmp_path):
    assert import_orders(dataset, *COMPUTED).code == 0
    whole = state()
    call_command("flush", interactive=False, verbosity=0)
    repository.forget()
    cursors.ensure_cursors()
    assert not Event.objects.exists()
    head, groups = invoices_of(dataset)
    third = len(groups) // 3
    parts = [groups[: third + 4], groups[third - 3 : 2 * third + 4], groups[2 * third - 3 :]]

    for number, some in enumerate(parts):
        run = import_orders(part(tmp_path, f"part{number}.csv", head, some), *COMPUTED)
        assert run.code == 0, run

    assert state() == whole


def test_two_years_that_sell_the_same_product(import_orders, tmp_path):
    first = file(tmp_path, line("600001", quantity=4)).rename(tmp_path / "2010.csv")
    second = file(tmp_path, line("600002", quantity=3, at="12/1/2011 8:26"))
    for path in (first, second):
        run = import_orders(path, *COMPUTED)
        assert run.code == 0, run
        assert "DIFFERS" not in run.out
    stock = StockLevel.objects.get(sku="10001A")
    assert (stock.received, stock.reserved, stock.available) == (7, 7, 0)


def test_of_new_invoices_and_one_that_is_in_already_the_new_ones_are_imported(
    import_orders, tmp_path
):
    known = line("600001")
    assert import_orders(file(tmp_path, known), *COMPUTED).code == 0

    run = import_orders(file(tmp_path, line("600002"), known, line("600003")), *COMPUTED)

    assert run.code == 0, run
    assert "1 documents that are imported already" in run.out
    assert sorted(OrderDetails.objects.values_list("reference", flat=True)) == [
        *("600001", "600002", "600003")
    ]


def test_an_invoice_with_other_lines_than_before_is_known_before_anything(import_orders, tmp_path):
    assert import_orders(file(tmp_path, line("600001")), *COMPUTED).code == 0
    events = Event.objects.count()

    run = import_orders(file(tmp_path, line("600002"), line("600001", quantity=7)), *COMPUTED)

    assert run.code == 1
    assert "Line 3: invoice 600001 is in already, with other lines" in run.error
    assert Event.objects.count() == events


def test_a_credit_finds_its_sale_in_an_earlier_file(import_orders, tmp_path):
    sale = file(tmp_path, line("600001", quantity=6), line("600002", quantity=2))
    assert import_orders(sale, *COMPUTED).code == 0
    later = {"at": "1/5/2011 9:00"}

    run = import_orders(
        file(tmp_path, line("C600003", quantity=-5, **later), line("600004", **later)), *COMPUTED
    )

    assert run.code == 0, run
    assert "DIFFERS" not in run.out
    found = ReturnView.objects.order_by("return_id").values_list("order_id", "lines")
    units = {
        OrderDetails.objects.get(order_id=order_id).reference: lines[0]["quantity"]
        for order_id, lines in found
    }
    assert units == {"600002": 2, "600001": 3}, "the last sale first"
    assert not BookingView.objects.exists()
    # 3 units of 600001 and 6 of 600004 are left.
    third = file(tmp_path, line("C600005", quantity=-10, at="1/6/2011 9:00"))
    assert import_orders(third, *COMPUTED).code == 0
    [booked] = BookingView.objects.values_list("lines", flat=True)
    assert [each["quantity"] for each in booked] == [1]


def test_a_stock_adjustment_in_two_files_is_made_once(import_orders, tmp_path):
    adjusted = line("600002", quantity=3, price="0", customer="")
    for new in ("600001", "600003"):
        run = import_orders(file(tmp_path, adjusted, line(new)), *COMPUTED)
        assert run.code == 0, run
    assert StockLevel.objects.get(sku="10001A").adjusted == 3


def test_exceptions_of_the_file_only(import_orders, tmp_path):
    """The list of a second file does not repeat that of the first."""
    path = tmp_path / "exceptions.csv"
    for note in ("C600001", "C600002"):
        run = import_orders(
            file(tmp_path, line(note, quantity=-2)), *COMPUTED, "--exceptions", path
        )
        assert run.code == 0, run
        assert [row["invoice"] for row in csv.DictReader(path.open())] == [note]
