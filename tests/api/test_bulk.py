"""Thousands of products, and of deliveries, in one request or from one file; each line's fault is
named, and nothing is written if there is one."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from eventstore.models import Event
from eventstore.testing import drain
from inventory.models import StockLevel
from orders.models import ProductView

from .conftest import pointers, problem

CATALOGUE, STOCK = "/api/commands/catalogue/", "/api/commands/stock/"
NDJSON, CSV = "application/x-ndjson", "text/csv"


def product(sku, amount=890, **others):
    price = {"amount": amount, "currency": "EUR"}
    return {"sku": sku, "name": f"Cup {sku}", "price": price, **others}


def ndjson(*lines):
    return "\n".join(json.dumps(each) for each in lines).encode()


def send(api, path, body, content_type=NDJSON, **headers):
    return api.post(path, body, content_type=content_type, **headers)


@pytest.mark.django_db(transaction=True)
def test_thousands_of_products_in_one_request(operator):
    answer = send(operator, CATALOGUE, ndjson(*(product(f"CUP-{n}", n) for n in range(3_000))))
    assert answer.status_code == 202, answer.content
    body = answer.json()
    assert (body["accepted"], body["status"]) == (3_000, "PROCESSING")
    assert body["position"] == Event.objects.order_by("-position").first().position
    drain()
    assert ProductView.objects.filter(offered=True).count() == 3_000


@pytest.mark.django_db(transaction=True)
def test_a_table_of_products_with_prices_as_people_write_them(operator):
    table = "sku,name,price,currency\nCUP,A cup,8.90,EUR\nBOWL,A bowl,500,JPY\nPOT,A pot,7,EUR\n"
    assert send(operator, CATALOGUE, table.encode(), CSV).status_code == 202
    drain()
    found = ProductView.objects.order_by("sku").values_list("sku", "price", "exponent")
    assert list(found) == [("BOWL", 500, 0), ("CUP", 890, 2), ("POT", 700, 2)]


@pytest.mark.django_db(transaction=True)
def test_every_fault_is_named_with_its_line_and_nothing_is_written(operator):
    lines = [
        *(json.dumps(product("CUP")), "{", ""),
        json.dumps(product("no key")),
        json.dumps(product("POT", -1)),
        json.dumps(product("CUP")),
        json.dumps({"sku": "JUG"}),
    ]
    answer = send(operator, CATALOGUE, "\n".join(lines).encode())
    assert pointers(answer) == [
        *("#/2", "#/4/sku", "#/5/price/amount", "#/6/sku", "#/7/name", "#/7/price")
    ]
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_every_fault_of_a_table_is_named_with_its_line(operator):
    table = (
        'sku,name,price,currency\nCUP,"A\ncup",8.905,EUR\nPOT,A pot,7\nJUG,A jug,x,EUR\n'
        "BOWL,A bowl,1,ZZZ\nVASE,A vase,1.00,EUR\n"
    )
    answer = send(operator, CATALOGUE, table.encode(), CSV)
    assert pointers(answer) == [
        *("#/2/name", "#/2/price/amount", "#/4", "#/5/price/amount"),
        *("#/6/price/amount", "#/6/price/currency"),
    ]
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_deliveries_under_one_key_are_received_once(operator):
    body = ndjson({"sku": "CUP", "quantity": 5}, {"sku": "POT", "quantity": 3, "reference": "n1"})
    key = {"Idempotency-Key": "delivery-1"}
    first, second = (send(operator, STOCK, body, **key) for _ in range(2))
    assert (first.status_code, second.json()) == (202, first.json())
    assert second["Idempotent-Replayed"] == "true"
    assert first.json()["position"] > 0
    table = b"sku,quantity,reference\nCUP,2,n2\nCUP,1,n3\n"
    assert send(operator, STOCK, table, CSV).status_code == 202
    drain()
    assert dict(StockLevel.objects.values_list("sku", "available")) == {"CUP": 8, "POT": 3}


@pytest.mark.django_db(transaction=True)
def test_a_repeated_catalogue_answers_with_the_position_it_rests_on(operator):
    first, second = (send(operator, CATALOGUE, ndjson(product("CUP"))) for _ in range(2))
    assert second.json()["position"] == first.json()["position"] > 0
    third = send(operator, CATALOGUE, ndjson(product("CUP")), **{"Idempotency-Key": "again"})
    assert third.json()["position"] == first.json()["position"]


def test_a_precondition_is_refused_as_lines_have_no_single_version(operator):
    answer = send(operator, CATALOGUE, ndjson(product("CUP")), **{"If-Match": '"1"'})
    assert pointers(answer) == ["If-Match"]
    assert not Event.objects.exists()


def test_the_catalogue_is_for_operations(ada, operator):
    problem(send(ada, CATALOGUE, ndjson(product("CUP"))), 403)
    problem(send(ada, STOCK, ndjson({"sku": "CUP", "quantity": 1})), 403)
    problem(operator.post(CATALOGUE, product("CUP")), 415)
    assert pointers(send(operator, CATALOGUE, b"")) == ["#"]


def run(name, path, *options):
    out = StringIO()
    try:
        call_command(name, str(path), *options, stdout=out)
    except CommandError as error:
        return str(error)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_files_of_products_and_of_stock(tmp_path):
    products = tmp_path / "products.csv"
    products.write_bytes(b"\xef\xbb\xbfsku,name,price,currency\nCUP,A cup,8.90,EUR\n")
    stock = tmp_path / "stock.ndjson"
    stock.write_bytes(ndjson({"sku": "CUP", "quantity": 5}))
    assert "1 lines are valid" in run("import_catalogue", products, "--dry-run")
    assert not Event.objects.exists()
    assert "1 lines were accepted" in run("import_catalogue", products)
    assert "1 lines were accepted" in run("import_stock", stock)
    drain()
    assert ProductView.objects.get(sku="CUP").price == 890
    assert StockLevel.objects.get(sku="CUP").available == 5


@pytest.mark.django_db(transaction=True)
def test_faults_of_a_file_are_sentences(tmp_path):
    stock = tmp_path / "stock.csv"
    stock.write_text("sku,quantity\nCUP,x\nPOT,0\n")
    said = run("import_stock", stock)
    assert "stock.csv: line 2, quantity: " in said
    assert "stock.csv: line 3, quantity: " in said
    assert said.endswith("Nothing was written.")
    assert "cannot be read" in run("import_stock", tmp_path / "missing.csv")
    assert not Event.objects.exists()
