"""The OpenAPI document is true: every route, every body, every example."""

import ast
import gzip
import importlib
import inspect
import json
import re
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from django.core.management import call_command
from django.http import HttpRequest
from django.urls import get_resolver
from jsonschema import Draft202012Validator
from rest_framework import exceptions

from config import problems
from config.api import docs
from config.api.documents import CachedDocument
from config.api.example_values import MISSING
from tools.reference import problems as reference

from .test_permissions import routes

# Probes, pages for people, and the descriptions themselves.
# The API of the registry is Confluent's.
NOT_DESCRIBED = (
    *("health/", "admin/", "api/docs/", "api/openapi.json", "api/asyncapi.json"),
    "api/registry/",
)


@pytest.fixture
def document(anonymous):
    return anonymous.get("/api/openapi.json").json()


@pytest.fixture
def described(document):
    """The document with parameters, headers and responses in the place of references to them."""
    return document | {"paths": inlined(document["paths"], document["components"])}


def inlined(part, components):
    match part:
        case {"$ref": reference} if "/schemas/" not in reference:
            _, _, kind, name = reference.split("/")
            return inlined(components[kind][name], components)
        case dict():
            return {name: inlined(each, components) for name, each in part.items()}
        case list():
            return [inlined(each, components) for each in part]
    return part


def operations(described):
    return {
        f"{method.upper()} {path.removeprefix('/')}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def examples_of(item):
    """The examples of a parameter or a header: one, or several by name."""
    return (
        [each["value"] for each in item["examples"].values()]
        if "examples" in item
        else [item["example"]]
    )


def test_every_route_is_described_and_nothing_else(described):
    ours = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route in routes(get_resolver().url_patterns)
    }
    ours = {route for route in ours if not route.partition(" ")[2].startswith(NOT_DESCRIBED)}
    # The slash at the end is optional.
    assert set(operations(described)) == {route.rstrip("/") for route in ours}


def test_every_operation_says_what_it_does_in_words_for_clients(described):
    for name, operation in operations(described).items():
        assert operation["summary"], name
        said = f"{operation['summary']}. {operation.get('description', '')}"
        internal = re.findall(r"Raises|URL configuration|->|\b[a-z]+_[a-z]+: |\w+_\}", said + name)
        assert internal == [], name


def test_it_is_openapi_3_1_without_a_warning(tmp_path):
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml")
    )
    assert "openapi: 3.1.0" in (tmp_path / "openapi.yaml").read_text()


def test_every_body_has_an_example_that_fits_its_schema(described):
    bodies = [
        (name, content)
        for name, operation in operations(described).items()
        for item in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in item.get("content", {}).values()
    ]
    assert len(bodies) > 200
    for name, content in bodies:
        schema = content["schema"] | {"components": described["components"]}
        wrong = [
            f"{name}: {error.message}"
            for error in Draft202012Validator(schema).iter_errors(content["example"])
        ]
        assert wrong == []


def test_every_parameter_and_every_header_has_an_example_that_fits_its_schema(described):
    named = [
        (f"{operation} {name}", item)
        for operation, each in operations(described).items()
        for name, item in (
            *((parameter["name"], parameter) for parameter in each.get("parameters", ())),
            *(
                header
                for answer in each["responses"].values()
                for header in answer.get("headers", {}).items()
            ),
        )
    ]
    assert len(named) > 100
    for name, item in named:
        schema = item["schema"] | {"components": described["components"]}
        wrong = [
            f"{name}: {error.message}"
            for each in examples_of(item)
            for error in Draft202012Validator(schema).iter_errors(each)
        ]
        assert wrong == []


def test_no_example_is_left_to_be_said(described):
    left = [
        f"{name}: {each}"
        for name, operation in operations(described).items()
        for each in re.findall(rf'"\w+": \[?"{MISSING}"', json.dumps(operation, ensure_ascii=False))
    ]
    assert left == [], "add examples of these to VALUES in config/api/example_values.py"


def test_every_command_says_its_headers_and_how_it_may_be_refused(described):
    commands = {
        name: each for name, each in operations(described).items() if "api/commands/" in name
    }
    assert len(commands) > 10
    for command in commands.values():
        names = {parameter["name"] for parameter in command["parameters"]}
        assert {"Idempotency-Key", "Prefer"} <= names
        # Lines of many objects have no single version.
        is_bulk = "text/csv" in command.get("requestBody", {}).get("content", {})
        assert ("If-Match" in names) != is_bulk
        assert {"202", "400", "401", "409", "412", "422", "429"} <= set(command["responses"])


def test_what_operations_share_stands_there_once(document):
    text = json.dumps(document)
    assert len(text) < 250_000
    assert len(gzip.compress(text.encode())) < 30_000
    problems = [
        status
        for operation in operations(document).values()
        for status, answer in operation["responses"].items()
        if status >= "400" and "$ref" not in answer
    ]
    # Those with an example of their own.
    assert len(problems) < 20


def test_it_is_made_once_and_sent_once_to_who_has_it(anonymous, monkeypatch):
    first = anonymous.get("/api/openapi.json")
    monkeypatch.setattr(docs.OPENAPI, "_make", None)
    packed = anonymous.get("/api/openapi.json", **{"Accept-Encoding": "br, gzip;q=0.5"})
    assert (packed["Content-Encoding"], gzip.decompress(packed.content)) == ("gzip", first.content)
    assert first["ETag"] != packed["ETag"]
    assert (first["Vary"], first["Cache-Control"]) == (packed["Vary"], "public, max-age=300")
    assert "Accept-Encoding" in first["Vary"]
    for answer, encoding in ((first, "identity"), (packed, "gzip")):
        for tag in (answer["ETag"], f"W/{answer['ETag']}", "*"):
            headers = {"If-None-Match": tag, "Accept-Encoding": encoding}
            again = anonymous.get("/api/openapi.json", **headers)
            assert (again.status_code, again.content) == (304, b"")
            assert (again["ETag"], "Content-Type" in again) == (answer["ETag"], False)
    assert anonymous.get("/api/openapi.json", **{"If-None-Match": "nonsense"}).status_code == 200


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "br", "gzip;q=0.000, br"])
def test_who_cannot_unpack_it_gets_it_as_it_is(anonymous, accepted):
    answer = anonymous.get("/api/openapi.json", **{"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer
    assert answer.json()["openapi"] == "3.1.0"


def test_of_many_who_ask_at_once_one_has_it_made():
    made = []

    def make():
        sleep(0.1)
        made.append(1)
        return {"openapi": "3.1.0"}

    document = CachedDocument(make)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: document.response(HttpRequest()).content, range(16)))
    assert (len(made), set(answers)) == (1, {b'{"openapi":"3.1.0"}'})


def test_who_needs_no_token_is_told_so(described):
    open_to_all = {name for name, each in operations(described).items() if each["security"] == []}
    assert open_to_all == {
        "POST api/auth/login",
        "POST api/webhooks/payments/stripe",
        "POST api/webhooks/shipping",
    }


def test_it_says_where_it_is_served(document):
    assert [each["url"] for each in document["servers"]] == ["/"]


def test_every_code_of_a_problem_is_there(document):
    code = document["components"]["schemas"]["Problem"]["properties"]["code"]
    known = {row.code for row in reference._rows()}
    # What the framework knows and nothing here raises.
    known -= {each for each in known if each not in problems.codes() and hasattr(exceptions, each)}
    assert set(code["anyOf"][0]["enum"]) >= known


def test_every_status_that_a_row_can_have_is_there(document):
    for model, answer in (
        ("orders.order.projections", "OrderAnswer"),
        ("orders.returns.projections", "ReturnAnswer"),
        ("payments.projections", "PaymentAnswer"),
        ("shipping.projections", "ShipmentAnswer"),
    ):
        said = json.dumps(document["components"]["schemas"][answer])
        tree = ast.parse(inspect.getsource(importlib.import_module(model)))
        found = {
            each.value
            for each in ast.walk(tree)
            if isinstance(each, ast.Constant) and re.fullmatch("[A-Z_]{4,}", str(each.value))
        }
        assert found
        assert {each for each in found if f'"{each}"' not in said} == set()


def test_answers_are_open_and_requests_are_not(document):
    schemas = document["components"]["schemas"]
    asked = {
        name.rpartition("/")[2]
        for each in operations(document).values()
        for name in re.findall(r"#/components/schemas/\w+", json.dumps(each.get("requestBody", {})))
    }
    closed = {name for name, each in schemas.items() if each.get("additionalProperties") is False}
    assert {name for name in asked if "Webhook" not in name or "Shape" in name} - closed == set()
    assert {name for name in closed if not name.endswith("Shape")} == set()
    answers = json.dumps([each["responses"] for each in operations(document).values()])
    assert "additionalProperties" not in answers


def test_a_problem_is_as_it_is_described(described, ada):
    schema = {"$ref": "#/components/schemas/Problem", "components": described["components"]}
    Draft202012Validator(schema).validate(ada.post("/api/commands/orders/", {"items": 1}).json())


def test_the_example_of_an_order_can_be_placed(described, shop, ada):
    content = operations(described)["POST api/commands/orders"]["requestBody"]["content"][
        "application/json"
    ]
    body = json.loads(
        json.dumps(content["example"]).replace("TEA-EARL-GREY", "CUP").replace("890", "1999")
    )
    answer = ada.post("/api/commands/orders/", body)
    assert answer.status_code == 202, answer.content


def test_the_page_is_all_from_here_and_runs_no_script_in_line(anonymous):
    page = anonymous.get("/api/docs/")
    text = page.content.decode()
    assert "script-src" not in page["Content-Security-Policy"]
    assert "default-src 'self'" in page["Content-Security-Policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert loaded
    assert [
        address for address in loaded if not address.startswith(("/static/", "/api/docs/", "?"))
    ] == []
    assert re.findall(r"<script(?![^>]*src=)", text) == []
