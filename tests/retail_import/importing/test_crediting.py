"""A credit note becomes returns of orders and a credit for the rest; all goods are restocked."""

from orders.events import Charge, OrderLine, Portion
from retail_import.importing import translation
from retail_import.importing.crediting import Crediting

from ..retail.given import documents_of, line


def credited(folder, *lines):
    """The result of the last document, after all before it."""
    crediting = Crediting()
    return [crediting.of(document) for document in documents_of(folder, *lines)][-1]


def restocked(found):
    return {
        each.return_id: [(line.sku, line.quantity) for line in each.lines]
        for each in found.restocks
    }


def test_goods_go_back_to_their_sales_the_last_first(tmp_path):
    found = credited(
        tmp_path,
        line("700001", code="POST", quantity=1),
        line("700001"),
        line("700002", code="10002"),
        line("700002"),
        line("C700003", quantity=-8),
    )
    last, first = found.returns
    assert (last.order_id, last.lines) == (translation.order_id("700002"), (Portion(2, 6),))
    assert (first.order_id, first.lines) == (translation.order_id("700001"), (Portion(1, 2),)), (
        "charges do not count"
    )
    assert (last.reference, last.reason) == ("C700003", translation.CREDITED)
    assert found.credit is None
    assert restocked(found) == {last.return_id: [("10001A", 6)], first.return_id: [("10001A", 2)]}


def test_what_finds_no_sale_is_a_credit_beside_orders_and_restocked_too(tmp_path):
    found = credited(
        tmp_path,
        line("700001"),
        line("C700002", quantity=-9),
        line("C700002", code="POST", quantity=-1),
    )
    assert [each.lines for each in found.returns] == [(Portion(1, 6),)]
    assert found.credit.customer_id == "20001"
    assert found.credit.lines == (OrderLine("10001A", "RED KETTLE", 3, 2550),)
    assert found.credit.charges == (Charge("POST", "RED KETTLE", 1, 2550),)
    assert restocked(found)[found.credit.booking_id] == [("10001A", 3)]


def test_a_guests_goods_are_a_credit_and_a_charge_moves_no_stock(tmp_path):
    guest = credited(
        tmp_path, line("700001", customer=""), line("C700002", quantity=-2, customer="")
    )
    assert (guest.returns, guest.credit.customer_id, guest.credit.lines[0].quantity) == ((), "", 2)
    charge = credited(tmp_path, line("C700002", code="POST", quantity=-1))
    assert (charge.returns, charge.restocks, charge.credit.lines) == ((), (), ())


def test_an_order_of_which_all_priced_goods_are_back_on_its_day_was_cancelled(tmp_path):
    sale = (line("700001", quantity=6), line("700001", code="10002", quantity=1, price="0"))
    reasons = [
        [each.reason for each in credited(tmp_path, *sale, *credits).returns]
        for credits in (
            [line("C700002", quantity=-6)],
            [line("C700002", quantity=-5)],
            [line("C700002", quantity=-5), line("C700003", quantity=-1)],
            [line("C700002", quantity=-6, at="12/2/2010 8:26")],
        )
    ]
    whole, part, last = [translation.CANCELLED], [translation.CREDITED], [translation.CANCELLED]
    assert reasons == [whole, part, last, [translation.CREDITED]]
