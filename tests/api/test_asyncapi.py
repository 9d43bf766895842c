"""The AsyncAPI document is valid, complete, and readable without a script."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft7Validator

from config import wiring
from config.api import sockets
from config.api.example_values import MISSING
from orders.api import public_events as timeline

OFFICIAL = json.loads((Path(__file__).parent / "asyncapi" / "3.0.0.json").read_text())


@pytest.fixture
def described(anonymous):
    return anonymous.get("/api/asyncapi.json").json()


def test_it_is_what_asyncapi_3_asks_for(described):
    faults = [
        f"{list(fault.absolute_path)}: {fault.message[:200]}" for fault in faults_of(described)
    ]
    assert faults == []


def test_what_asyncapi_3_does_not_know_is_found(described):
    described["channels"]["order"]["adress"] = "/ws/"
    assert faults_of(described)


def test_every_reference_leads_somewhere(described):
    references = re.findall(r'"\$ref": "(#[^"]+)"', json.dumps(described))
    assert len(references) > 100
    for reference in set(references):
        found = described
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_every_address_of_a_socket_is_there_with_everything_that_is_told(described):
    names = {*timeline.types(), "caught_up", "restarted_after"} - set(
        getattr(wiring, "RENAMED", {})
    )
    channels = {each["address"]: each for each in described["channels"].values() if each["address"]}
    assert set(channels) == {address.path for address in sockets.ADDRESSES}
    for address in sockets.ADDRESSES:
        channel = channels[address.path]
        assert set(channel["messages"]) == names
        assert set(channel["bindings"]["ws"]["query"]["properties"]) == set(address.known)


def test_everything_that_others_are_told_is_there(described):
    published = {name for table in wiring.PUBLISHED for name in table}
    assert set(described["channels"]["published"]["messages"]) == published


def test_every_message_has_an_example_that_fits_its_schema(described):
    for name, message in described["components"]["messages"].items():
        payload = message["payload"] | {"components": described["components"]}
        for example in message["examples"]:
            Draft7Validator(payload).validate(example["payload"])
            assert MISSING not in json.dumps(example, ensure_ascii=False), (
                f"add an example of {name} to VALUES in config/api/example_values.py"
            )


@pytest.mark.parametrize("event", timeline.PUBLIC_FIELDS)
def test_the_example_of_an_event_becomes_what_is_told_of_its_class(described, event):
    example = described["components"]["messages"][name_of(event)]["examples"][0]["payload"]
    entry = msgspec.convert(example, timeline.Entry)
    msgspec.convert(entry.data, timeline.shape(event))
    types = {field.name: field.type for field in msgspec.structs.fields(event)}
    assert set(entry.data) == set(timeline.PUBLIC_FIELDS[event])
    for field, value in entry.data.items():
        msgspec.convert(value, types[field])


@pytest.mark.parametrize(
    ("name", "published"), [each for table in wiring.PUBLISHED for each in table.items()]
)
def test_the_example_of_what_is_published_becomes_its_class(described, name, published):
    example = described["components"]["messages"][name]["examples"][0]["payload"]
    assert set(example) == set(published.__struct_fields__)
    msgspec.convert(example, published)


def test_nothing_is_said_of_fields_that_are_not_told(described):
    assert "reference" not in json.dumps(described["components"]["schemas"]["PaymentCompleted"])
    assert "description" in described["components"]["schemas"]["GoodsReturned"]


def test_the_page_tells_it_all_and_runs_no_script(anonymous, described):
    page = anonymous.get("/api/docs/events/")
    text = page.content.decode()
    assert "script-src" not in page["Content-Security-Policy"]
    assert "unsafe-inline" not in page["Content-Security-Policy"]
    assert re.search(r"<script|<style|\son\w+=|\sstyle=", text) is None
    assert [
        each
        for each in re.findall(r'(?:src|href)="([^"#]+)"', text)
        if not each.startswith(("/static/", "/api/"))
    ] == []
    anchors, links = (
        set(re.findall(r' id="([^"]+)"', text)),
        set(re.findall(r'href="#([^"]+)"', text)),
    )
    assert links <= anchors
    assert set(described["components"]["messages"]) <= anchors


def test_the_page_of_requests_leads_to_it(anonymous):
    assert "/api/docs/events/" in anonymous.get("/api/openapi.json").json()["info"]["description"]


def faults_of(document):
    return list(Draft7Validator(OFFICIAL).iter_errors(document))


def name_of(event):
    return next(name for table in wiring.EVENTS for name, each in table.items() if each is event)
