"""A client generated for Python: it compiles, and buys, cancels and returns."""

import compileall
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.testing import drain

pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generated")


@pytest.fixture
def generated(document, folder, monkeypatch):
    """Imports a module of the generated client."""
    where = folder / "shop_client"
    if not where.exists():
        config = folder / "config.yml"
        # A line of NDJSON is JSON; a table is sent as it is.
        config.write_text(
            "post_hooks: []\n"
            "content_type_overrides:\n"
            "  application/x-ndjson: application/json\n"
            "  text/csv: application/octet-stream\n"
        )
        command = Path(sys.executable).with_name("openapi-python-client")
        options = ["--path", document, "--config", config, "--output-path", where, "--meta", "none"]
        done = subprocess.run(
            [command, "generate", "--fail-on-warning", *options], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(folder)
    yield lambda name: importlib.import_module(f"shop_client.{name}")
    for name in [each for each in sys.modules if each.partition(".")[0] == "shop_client"]:
        del sys.modules[name]


@pytest.fixture
def client(generated, ada, live_server):
    token = ada.headers["Authorization"].removeprefix("Bearer ")
    return generated("client").AuthenticatedClient(base_url=live_server.url, token=token)


def an_order(models, **changes):
    address = models.AddressShape(
        name="Ada", street="Square 1", city="London", postcode="SW1Y", country="GB"
    )
    items = [models.ItemShape(sku="CUP", quantity=2)]
    given = {"items": items, "address": address, "payment_method": "tok_visa"} | changes
    return models.PlaceOrderShape(**given)


def test_every_module_compiles_and_can_be_imported(generated, folder):
    where = folder / "shop_client"
    assert compileall.compile_dir(where, quiet=1)
    names = [each.name for each in pkgutil.walk_packages([str(where)], "shop_client.")]
    assert len(names) > 100
    for name in names:
        importlib.import_module(name)


def test_it_buys_and_queries(generated, client):
    models = generated("models")
    place, find = generated("api.commands.place_order"), generated("api.queries.order")
    first, again = (
        place.sync(client=client, body=an_order(models), idempotency_key="one") for _ in range(2)
    )
    assert first.order_id == again.order_id
    drain()
    order = find.sync(first.order_id, client=client)
    assert (order.status, order.total.amount) == ("CONFIRMED", 3998)
    assert order.status is models.OrderAnswerStatusType0.CONFIRMED
    page = generated("api.queries.orders").sync(
        client=client, status=models.OrdersStatus.CONFIRMED, limit=10
    )
    assert ([each.order_id for each in page.data], page.has_more) == ([order.order_id], False)


def test_it_cancels(generated, client):
    models = generated("models")
    place, cancel = (generated(f"api.commands.{name}") for name in ("place_order", "cancel_order"))
    order_id = place.sync(client=client, body=an_order(models)).order_id
    wish = models.CancelOrderShape(reason="changed my mind")
    assert cancel.sync(order_id, client=client, body=wish, if_match='"1"').version == 2
    drain()
    assert generated("api.queries.order").sync(order_id, client=client).status == "CANCELLED"


def test_it_returns(generated, client):
    models = generated("models")
    order_id = (
        generated("api.commands.place_order").sync(client=client, body=an_order(models)).order_id
    )
    drain()
    body = models.RequestReturnShape(
        lines=[models.PortionShape(number=1, quantity=1)], reason="one is enough"
    )
    asked = generated("api.commands.request_return").sync(order_id, client=client, body=body)
    drain()
    back = generated("api.queries.return_").sync(asked.return_id, client=client)
    assert (back.status, back.refund.amount, back.lines[0].quantity) == ("REQUESTED", 1999, 1)


def test_it_reads_problems(generated, client):
    models = generated("models")
    place = generated("api.commands.place_order")
    unknown = [models.ItemShape(sku="NOTHING", quantity=1)]
    refused = place.sync(client=client, body=an_order(models, items=unknown))
    assert isinstance(refused, models.Problem)
    assert (refused.status, refused.code) == (409, "ProductNotOffered")
    wrong = place.sync(client=client, body=an_order(models, payment_method=""))
    assert [each.pointer for each in wrong.errors] == ["#/payment_method"]


def test_it_can_do_without_a_body_and_can_leave_a_command(generated, client):
    models = generated("models")
    place = generated("api.commands.place_order")
    minimal = place.sync_detailed(client=client, body=an_order(models), prefer="return=minimal")
    assert (minimal.status_code, minimal.parsed) == (204, None)
    assert minimal.headers["Location"].startswith("/api/queries/orders/")
    left = place.sync(client=client, body=an_order(models), prefer="respond-async, return=minimal")
    assert left.status == "PENDING"


def test_it_takes_what_a_later_version_may_add(generated, client):
    """The policy of evolution: new members, and new values of a status."""
    models = generated("models")
    order_id = (
        generated("api.commands.place_order").sync(client=client, body=an_order(models)).order_id
    )
    drain()
    order = generated("api.queries.order").sync(order_id, client=client).to_dict()
    later = models.OrderAnswer.from_dict(order | {"status": "SPLIT", "parts": [1, 2]})
    assert (later.status, later.additional_properties) == ("SPLIT", {"parts": [1, 2]})
