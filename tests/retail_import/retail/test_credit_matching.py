"""Last sold, first credited; units without a sale are reported."""

from pathlib import Path

import pytest

from retail_import.retail.credits.matching import Match, matches

from . import given

MONDAY, TUESDAY, FRIDAY = "1/17/2011 9:30", "1/18/2011 9:30", "1/21/2011 9:30"


def found(match: Match) -> list[tuple[str, int, int]]:
    return [(each.sale.invoice, each.sale.number, each.units) for each in match.allocations]


def matched(folder: Path, *lines: str) -> list[Match]:
    return list(matches(given.documents_of(folder, *lines)))


def test_the_last_sale_is_credited_first_and_a_credit_may_be_split(tmp_path: Path) -> None:
    sales = [given.line("700001", at=MONDAY), given.line("700002", at=TUESDAY)]
    (match,) = matched(tmp_path, *sales, given.line("C700003", quantity=-8, at=FRIDAY))
    assert found(match) == [("700002", 1, 6), ("700001", 1, 2)]
    assert match.unmatched == 0


def test_units_are_credited_once(tmp_path: Path) -> None:
    credits = [given.line("C700002", quantity=-4), given.line("C700003", quantity=-4)]
    first, second = matched(tmp_path, given.line("700001"), *credits)
    assert (found(first), found(second)) == ([("700001", 1, 4)], [("700001", 1, 2)])
    assert second.unmatched == 2


def test_among_duplicate_lines_the_last_is_credited_first(tmp_path: Path) -> None:
    sold = [given.line("700001")] * 2
    (match,) = matched(tmp_path, *sold, given.line("C700002", quantity=-7))
    assert found(match) == [("700001", 2, 6), ("700001", 1, 1)]


def test_a_code_in_another_case_is_the_same_sku(tmp_path: Path) -> None:
    (match,) = matched(
        tmp_path, given.line(code="10001a"), given.line("C700002", code="10001A", quantity=-6)
    )
    assert match.unmatched == 0


@pytest.mark.parametrize(
    "sale",
    [
        given.line("700001", customer="20002"),
        given.line("700001", price="2.5"),
        given.line("700001", code="10001"),
        given.line("700001", customer=""),
    ],
)
def test_anothers_sale_price_or_sku_is_not_credited(tmp_path: Path, sale: str) -> None:
    (match,) = matched(tmp_path, sale, given.line("C700002", quantity=-6))
    assert (match.unmatched, found(match)) == (6, [])


def test_a_later_sale_is_not_credited(tmp_path: Path) -> None:
    (match,) = matched(tmp_path, given.line("C700001", quantity=-6), given.line("700002"))
    assert (match.unmatched, found(match)) == (6, [])


def test_a_line_of_its_own_sale_that_stands_behind_the_credit_is_not_credited(
    tmp_path: Path,
) -> None:
    """Invoice 700001 begins before the credit note and continues after it, at one time."""
    (match,) = matched(
        tmp_path,
        given.line("700001", code="22041"),
        given.line("C700002", code="85048", quantity=-2),
        given.line("700001", code="85048", quantity=5),
    )
    assert (match.unmatched, found(match)) == (2, [])


def test_guests_and_charges_are_not_matched(tmp_path: Path) -> None:
    guest = [given.line("700001", customer=""), given.line("C700002", customer="", quantity=-6)]
    charge = [given.line("700003", code="POST"), given.line("C700004", code="POST", quantity=-6)]
    assert matched(tmp_path, *guest, *charge) == []


def test_the_day_of_sale_is_londons(tmp_path: Path) -> None:
    sales = [given.line("700001", at="5/31/2011 23:50"), given.line("700002", at="6/1/2011 0:10")]
    (match,) = matched(tmp_path, *sales, given.line("C700003", quantity=-7, at="6/1/2011 0:30"))
    assert [each.same_day for each in match.allocations] == [True, False]
