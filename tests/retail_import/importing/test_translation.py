"""The commands of a document, and the progress of an import."""

from eventstore.testing import given
from inventory.commands import AdjustStock
from retail_import.import_progress import (
    HISTORY_IMPORT,
    AdvanceImport,
    ImportAdvanced,
    ImportedDocument,
    ImportMovedOn,
    units,
)
from retail_import.importing import translation

from ..retail.given import documents_of, line

FIRST, SECOND = (ImportedDocument("1", "a"),), (ImportedDocument("2", "b"),)


def test_an_invoice_is_the_same_order_whenever_it_comes():
    assert (
        translation.order_id("536365")
        == translation.order_id("536365")
        != translation.order_id("536366")
    )


def test_an_adjustment_tells_its_invoice_and_what_was_noted(tmp_path):
    [lost] = documents_of(
        tmp_path, line("700001", quantity=-2, price="0", customer="", description="damaged")
    )
    assert translation.adjust_stock(lost) == [AdjustStock("10001A", -2, "invoice 700001: damaged")]


def test_an_order_a_credit_note_and_the_ledger_adjust_no_stock(tmp_path):
    lines = line("700001"), line("C700003", quantity=-2), line("A700002", code="B", quantity=1)
    for document in documents_of(tmp_path, *lines):
        assert translation.adjust_stock(document) == []


def test_codes_that_differ_in_case_are_one_product(tmp_path):
    [order] = documents_of(tmp_path, line("700001", code="10001a"), line("700001", code="10001A"))
    assert {each.sku for each in translation.import_order(order).lines} == {"10001A"}


def test_an_import_advances():
    stock, opening = units({"CUP": -1}), units({"CUP": 3})
    given(HISTORY_IMPORT, ImportAdvanced("f", FIRST)).when(
        AdvanceImport("g", 1, SECOND, stock, opening)
    ).then(ImportAdvanced("g", SECOND, stock, opening))


def test_an_import_that_another_has_moved_on_is_refused():
    given(HISTORY_IMPORT, ImportAdvanced("f", FIRST)).when(AdvanceImport("g", 0, SECOND)).refused(
        ImportMovedOn
    )
