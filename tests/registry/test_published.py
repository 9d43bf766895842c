"""The schemas of this project's events in the registry."""

import json

import pytest
from django.core.management import CommandError, call_command

from eventstore import registry
from eventstore.schemas.registry import documents, published, service
from eventstore.schemas.registry.errors import RegistryError

from .conftest import record

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_registry")]

DETAILS = "events.orders-orders.OrderDetails"


def register(capsys):
    call_command("schemas", "--register")
    return capsys.readouterr().out


def test_all_are_registered_in_both_formats(capsys):
    register(capsys)
    types = set(registry.published_types())
    assert set(service.subjects()) == {published.avro_subject(each) for each in types} | types
    stored = service.version(DETAILS, "latest").stored.document
    assert json.loads(stored.text) == json.loads(
        open("schemas/orders.order_details/v1.avsc").read()  # noqa: SIM115
    )
    assert service.compatibility_of(DETAILS) == "BACKWARD"
    stored = service.version("orders.order_details", "latest").stored.document
    assert stored.type == "JSON"


def test_it_is_repeated_without_a_change(capsys):
    first = register(capsys)
    assert f"{DETAILS} version 1: schema " in first
    assert register(capsys) == first
    assert service.versions(DETAILS) == [1]


def test_an_incompatible_schema_is_named_and_the_others_are_registered():
    service.register(DETAILS, documents.read(json.dumps(record(("a", "int")))))
    with pytest.raises(CommandError, match=f"{DETAILS}: .*incompatible.*it cannot read"):
        call_command("schemas", "--register")
    assert len(service.subjects()) == 2 * len(registry.published_types())


def test_what_is_registered_already_needs_no_write(capsys):
    first = register(capsys)
    service.set_mode("", "READONLY_OVERRIDE")
    assert register(capsys) == first


def test_a_registry_that_may_only_be_read_refuses_new_ones():
    service.set_mode("", "READONLY")
    with pytest.raises(CommandError, match="read-only mode"):
        call_command("schemas", "--register")


def test_earlier_releases_come_first(settings, tmp_path, monkeypatch):
    name = "orders.order_status_changed"
    (tmp_path / name).mkdir()
    old = record(name="OrderStatusChanged", namespace="orders")
    (tmp_path / name / "v1.avsc").write_text(json.dumps(old))
    settings.EVENTSTORE_SCHEMAS = tmp_path
    monkeypatch.setattr(registry, "schema_version_of", lambda name: 2)
    found = published.in_avro(name)
    assert [json.loads(each.text)["fields"] for each in found.documents][0] == []
    assert len(found.documents) == 2


def test_migrating_registers_and_emptying_does_not():
    assert service.subjects() == []  # the tables were emptied, which sends the same signal
    call_command("migrate", verbosity=0)
    assert DETAILS in service.subjects()


def test_a_schema_that_is_not_registered_is_named():
    with pytest.raises(published.NotRegistered, match="manage.py schemas --register"):
        published.writer("orders.order_details")
    names = ["orders.order_details"]
    assert published.unregistered(names) == names
    call_command("schemas", "--register", verbosity=0)
    assert published.unregistered(names) == []
    writer = published.writer("orders.order_details")
    assert writer.id == service.version(DETAILS, "latest").stored.id
    service.delete_version(DETAILS, "1")
    assert published.unregistered(names) == names


def test_errors_name_what_is_wrong():
    with pytest.raises(RegistryError, match="Subject 'a' not found"):
        service.versions("a")
