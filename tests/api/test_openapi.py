"""The OpenAPI document is true: every route, every body, every example."""

import json
import re

import pytest
from django.core.management import call_command
from django.urls import get_resolver
from jsonschema import Draft202012Validator

from config.api.example_values import MISSING

from .test_permissions import routes

# Probes, pages for people, and the descriptions themselves.
NOT_DESCRIBED = ("health/", "admin/", "api/docs/", "api/openapi.json", "api/asyncapi.json")


@pytest.fixture
def described(anonymous):
    return anonymous.get("/api/openapi.json").json()


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
    assert set(operations(described)) == ours


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
        assert {"Idempotency-Key", "If-Match", "Prefer"} <= names
        assert {"202", "400", "401", "409", "412", "422", "429"} <= set(command["responses"])


def test_a_problem_is_as_it_is_described(described, ada):
    schema = {"$ref": "#/components/schemas/Problem", "components": described["components"]}
    Draft202012Validator(schema).validate(ada.post("/api/commands/orders/", {"items": 1}).json())


def test_the_example_of_an_order_can_be_placed(described, shop, ada):
    content = operations(described)["POST api/commands/orders/"]["requestBody"]["content"][
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
