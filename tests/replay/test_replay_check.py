"""manage.py replay_check against other versions of the code, which stand in folders of their own:
what a change makes of stored events is found, although no schema has changed."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from eventstore import log
from eventstore.commands import bus
from eventstore.models import Event, OperatorAction
from eventstore.money import Money
from eventstore.operations.replay import compare, versions
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import Item, ListProduct, PlaceOrder
from shipping.commands import Address

pytestmark = pytest.mark.django_db(transaction=True)

CODE = (
    "access",
    "config",
    "eventstore",
    "examples",
    "inventory",
    "orders",
    "payments",
    "retail_import",
    "shipping",
    "schemas",
    "tools",
)
AGGREGATE = "orders/order/aggregate.py"
PROJECTION = "orders/order/projections.py"
SAGA = "orders/order/saga.py"
TOTAL = '"placed", event.customer_id, event.total, event.lines, event.charges, elsewhere=elsewhere'
# A discount is computed otherwise: no field of an event or a state has changed.
CHEAPER = TOTAL.replace("event.total,", "event.total.of(event.total.amount * 9 // 10),")


@pytest.fixture(scope="session")
def unchanged(tmp_path_factory):
    """A copy of the code."""
    return copied(tmp_path_factory.mktemp("unchanged"))


@pytest.fixture
def changed(tmp_path):
    """changed(file, old, new) is a copy of the code with one place changed."""

    def change(*changes):
        folder = copied(tmp_path / "code")
        for file, old, new in changes:
            text = (folder / file).read_text()
            assert text.count(old) >= 1, f"{file} has no {old!r}"
            (folder / file).write_text(text.replace(old, new))
        return folder

    return change


def copied(folder):
    ignored = shutil.ignore_patterns("__pycache__")
    for name in CODE:
        shutil.copytree(versions.root() / name, folder / name, ignore=ignored)
    return folder


@pytest.fixture
def orders():
    """Three that are confirmed, and one that is not paid."""
    bus.dispatch_all([ListProduct("CUP", "A cup", Money(450, "EUR")), ReceiveStock("CUP", 100)])
    ids = [f"0198b1c2-0000-7000-8000-00000000000{n}" for n in range(4)]
    for number, id_ in enumerate(ids):
        method = "tok_declined" if number == 3 else "tok_visa"
        address = Address("Ada Lovelace", "12 St James Square", "London", "SW1Y 4JH", "GB")
        items = (Item("CUP", number + 1),)
        bus.dispatch(PlaceOrder(id_, "ada", items, address, method, datetime.now(UTC)))
    drain()
    return ids


def checked(version, *options):
    """What the command writes with --json, and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command("replay_check", "--against", str(version), "--json", *options, stdout=out)
    except SystemExit as end:
        code = end.code
    return json.loads(out.getvalue()), code


def test_the_same_code_means_the_same(orders, unchanged):
    report, code = checked(unchanged)
    assert (code, report["agrees"], report["changed_events"]) == (0, True, 0)
    assert report["events"] == Event.objects.count()
    assert report["only_old"] == report["only_new"] == []


def test_a_discount_that_is_computed_otherwise_is_found(orders, changed):
    """The first event, and in which field."""
    report, code = checked(changed((AGGREGATE, TOTAL, CHEAPER)))
    assert code == 1
    first = {each["scope"]: each for each in report["first"]}
    change = first["aggregate order"]
    event = Event.objects.filter(type="orders.order_placed").order_by("position").first()
    assert (change["stream"], change["version"]) == (event.stream, event.version)
    assert (change["position"], change["type"]) == (event.position, event.type)
    assert change["fields"] == [["total.amount", 405, 450]]
    assert report["changed_states"] == 4
    assert list(first) == ["aggregate order"], "read models and sagas do not use this state"


def test_a_changed_read_model_and_a_changed_saga_are_found(orders, changed):
    folder = changed(
        (PROJECTION, '"status": "CONFIRMED"', '"status": "DONE"'),
        (SAGA, "event.total", "event.total.of(event.total.amount + 1)"),
    )
    report, code = checked(folder)
    assert code == 1
    first = {each["scope"]: each for each in report["first"]}
    row = first["read model orders.details"]
    assert (row["type"], row["key"]) == ("orders.order_confirmed", row["stream"].partition("-")[2])
    assert row["fields"] == [["status", "DONE", "CONFIRMED"]]
    assert any(scope.startswith("saga ") for scope in first)


def test_personal_data_is_masked_unless_a_reason_is_given(orders, changed):
    folder = changed((PROJECTION, '"address": event.address', '"address": {"name": "Grace"}'))
    report, _ = checked(folder)
    assert "Ada" not in json.dumps(report)
    assert "Grace" not in json.dumps(report)
    (change,) = report["first"]
    assert change["fields"] == [["address", "•••", "•••"]]
    report, _ = checked(folder, "--reveal", "a deploy")
    assert "Grace" in json.dumps(report)
    assert OperatorAction.objects.get(action="reveal").reason == "a deploy"


def test_an_event_that_only_one_version_can_read_is_found(orders, changed):
    folder = changed((AGGREGATE, "OrderConfirmed: lambda", "OrderRefundRequested: lambda"))
    report, code = checked(folder)
    assert code == 1
    (change,) = report["first"]
    assert (change["old_error"], change["new_error"]) == ("InvalidResult", "")


def test_a_new_field_is_named_and_not_compared(orders, changed):
    folder = changed((AGGREGATE, "    charges_back: dict[int, int] = {}\n", "    back: str = ''\n"))
    report, code = checked(folder)
    assert report["only_old"] == ["aggregate order: back"]
    assert report["only_new"] == ["aggregate order: charges_back"]
    assert code == 0


def test_a_sample_has_all_streams_of_the_orders_that_it_chooses(orders, unchanged):
    report, code = checked(unchanged, "--share", "0.5")
    assert code == 0
    assert 0 < report["events"] < Event.objects.count()
    again, _ = checked(unchanged, "--share", "0.5")
    assert again["events"] == report["events"]
    few, _ = checked(unchanged, "--sample", "2")
    assert few["events"] < Event.objects.count()
    assert compare.Sample(streams=10**6).threshold(log.fence()) == compare.WHOLE


def test_states_beyond_the_memory_are_in_a_file(orders, changed, monkeypatch):
    """Each state is written and read back, and means the same."""
    worker = "eventstore/operations/replay/worker.py"
    folder = changed((AGGREGATE, TOTAL, CHEAPER), (worker, "64 << 20", "1"))
    monkeypatch.setattr("eventstore.operations.replay.worker.__file__", str(folder / worker))
    report, code = checked(folder)
    assert (code, report["changed_states"]) == (1, 4)
    assert [each["scope"] for each in report["first"]] == ["aggregate order"]


def test_nothing_is_written(orders, changed):
    """The transaction stops an evolve function that writes."""
    writing = (
        "def placed(order: Order, event: OrderPlaced) -> Order:\n"
        "    from eventstore.postgres import execute\n"
        "    execute('DELETE FROM eventstore_outbox').close()"
    )
    folder = changed((AGGREGATE, "def placed(order: Order, event: OrderPlaced) -> Order:", writing))
    before = Event.objects.count()
    report, code = checked(folder)
    assert code == 1
    assert report["first"][0]["old_error"] == "InternalError"
    assert Event.objects.count() == before


def test_a_commit_of_git_is_a_version(orders, unchanged, monkeypatch, tmp_path):
    repository = shutil.copytree(unchanged, tmp_path / "repository")
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "First"],
    ):
        subprocess.run(["git", "-C", repository, *arguments], check=True, capture_output=True)
    monkeypatch.setattr(versions, "root", lambda: repository)
    assert checked("HEAD")[1] == 0
    with pytest.raises(CommandError, match="neither a folder nor a commit"):
        checked("no-such-commit")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--against", "--output=x"], "neither a folder nor a commit|expected one argument"),
        (["--share", "0"], "expected a share"),
        (["--sample", "0"], "expected a number"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(transactional_db, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("replay_check", *arguments)


def test_code_that_cannot_run_is_refused_with_its_error(orders, changed):
    with pytest.raises(CommandError, match="cannot fold the log: .*SyntaxError") as refused:
        checked(changed((AGGREGATE, TOTAL, "return (")))
    assert refused.value.returncode == 2


def test_the_innermost_difference_is_named():
    old, new = {"a": [{"b": 1, "c": 2}], "d": 3}, {"a": [{"b": 1, "c": 9}], "d": 3}
    assert list(compare.differing("", old, new, old, new)) == [("a[0].c", 2, 9)]
    masked = {"a": "•••", "d": 3}
    assert list(compare.differing("", old, new, masked, masked)) == [("a", "•••", "•••")]
