"""The totals of a whole file, exact to the digit, and their differences."""

from retail_import.control_totals import comparison, file_totals
from retail_import.control_totals.comparison import Difference
from retail_import.control_totals.file_totals import FileTotals

from .given import RetailFiles


def test_a_file_adds_up_to_what_is_expected_of_it(files: RetailFiles) -> None:
    totals = file_totals.of_file(files.dataset).totals()
    assert comparison.compare(files.expected, {"source_sha256": files.fingerprint, **totals}) == []


def test_a_class_without_lines_is_told_as_nothing() -> None:
    nothing = FileTotals([]).totals()
    assert nothing["by_line_class"]["STOCK_IN"] == {
        "lines": 0,
        "invoices": 0,
        "units": 0,
        "value_milli_gbp": 0,
    }
    assert (
        nothing["orders"]["placed"]
        == nothing["credit_notes"]["count"]
        == nothing["commands"]["place_order"]
        == 0
    )


def test_equal_totals_do_not_differ() -> None:
    assert comparison.compare({"a": [{"b": 1}]}, {"a": [{"b": 1}]}) == []


def test_each_difference_is_told_with_its_path() -> None:
    expected = {"orders": {"placed": 3, "guest": 1}, "by_month": [{"lines": 2}, {"lines": 4}]}
    actual = {"orders": {"placed": 2, "zero_value": 1}, "by_month": [{"lines": 5}]}
    assert comparison.compare(expected, actual) == [
        Difference("orders.placed", 3, 2),
        Difference("orders.guest", 1, None),
        Difference("by_month[0].lines", 2, 5),
        Difference("by_month[1].lines", 4, None),
        Difference("orders.zero_value", None, 1),
    ]
