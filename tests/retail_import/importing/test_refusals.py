"""Files that cannot be imported: one message, and nothing in the log."""

import pytest

from eventstore.models import Event

OPENING = "minimal_opening_stock.csv"
DATASET = "online-retail-dataset.csv"
EXPECTED = "expected_totals.json"

FILES = [
    (DATASET, "12/1/2010 8:34,1.69", "12/1/2010 8:34,1.6.9", "Line 6: '1.6.9' is not a price"),
    (DATASET, "InvoiceNo,", "Invoice,", "Line 1: the header is"),
    (
        OPENING,
        "10002,39,2,41,8",
        "10002,39,2,42,8",
        "Line 3: opening 39 and net 2 do not add up to closing 42",
    ),
    (
        OPENING,
        "10002,39,2,41,8",
        "10002,38,2,40,8",
        "10002: opening stock 38, but the file needs 39",
    ),
    (
        OPENING,
        "10002,39,2,41,8",
        "10002,39,3,42,8",
        "10002: net 3 in the opening stock, but 2 in the file",
    ),
    (
        OPENING,
        "PADS,1000,-1000,0,1\n",
        "",
        "PADS is in the file, but not in the opening stock",
    ),
    (
        OPENING,
        "PADS,",
        "10012,0,1,1,1\nPADS,",
        "10012 is in the opening stock, but not in the file",
    ),
    (EXPECTED, "{", "", "expected_totals.json is not JSON"),
]


@pytest.mark.parametrize(
    ("name", "was", "is_", "sentence"), FILES, ids=[each[3][:40] for each in FILES]
)
def test_a_wrong_file_is_refused(import_orders, folder, dataset, name, was, is_, sentence):
    text = (folder / name).read_text()
    assert was in text
    (folder / name).write_text(text.replace(was, is_, 1))

    run = import_orders(dataset)

    assert run.code == 1
    assert run.error.startswith(name)
    assert sentence in run.error
    assert "\n" not in run.error
    assert not Event.objects.exists()


@pytest.mark.parametrize("option", ["", "--opening-stock", "--expected"])
def test_a_missing_file_is_refused(import_orders, dataset, option):
    missing = dataset.with_name("missing.csv")
    run = import_orders(dataset, option, missing) if option else import_orders(missing)

    assert (run.code, run.error) == (1, f"{missing} cannot be read: No such file or directory.")
    assert not Event.objects.exists()
