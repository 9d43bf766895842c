"""One id is one text for ever, whoever registers, deletes or restores."""

import json
from threading import Barrier

import pytest
from django.db import DatabaseError, connection, transaction

from eventstore.models import RegisteredSchema, SubjectVersion
from eventstore.schemas.registry import documents, service, store
from tests.eventstore.concurrently import in_thread

from .conftest import ONE, OTHER, SKU, TWO, avro, record, refused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_registry")]


def document(*fields, **more):
    return documents.read(json.dumps(record(*fields, **more)))


def test_an_id_is_not_used_again_after_a_permanent_deletion(client):
    first = client.register_schema("a", ONE)
    last = client.register_schema("a", TWO)
    client.delete_subject("a")
    client.delete_subject("a", permanent=True)
    assert client.get_subjects(deleted=True) == []
    client.clear_caches()
    assert refused(client.get_schema, last) == (404, 40403)
    other = client.register_schema("a", OTHER)
    assert other == last + 1
    client.delete_subject("a")
    client.delete_subject("a", permanent=True)
    client.clear_caches()
    assert client.register_schema("b", avro(("new", "int"))) == other + 1
    client.clear_caches()
    assert client.register_schema("c", ONE) == other + 2
    assert refused(client.get_schema, first) == (404, 40403)
    assert RegisteredSchema.objects.count() == 5


def test_a_deleted_id_comes_back_by_an_import_of_its_own_text_alone(client, http):
    first = client.register_schema("a", ONE)
    client.delete_subject("a")
    client.delete_subject("a", permanent=True)
    client.update_mode("a", "IMPORT")

    def imported(schema):
        body = {"schema": schema.schema_str, "id": first}
        return http.post("/subjects/a/versions", json=body).json()

    assert imported(OTHER)["error_code"] == 42205
    assert imported(ONE) == {"id": first}
    client.clear_caches()
    assert json.loads(client.get_schema(first).schema_str) == json.loads(ONE.schema_str)


CHANGES = [
    "UPDATE eventstore_schema SET text = '{}'",
    "UPDATE eventstore_schema SET id = id + 100",
    "DELETE FROM eventstore_schema",
    "TRUNCATE eventstore_schema CASCADE",
    "UPDATE eventstore_schema_reference SET version = 2",
    "DELETE FROM eventstore_schema_reference",
    "TRUNCATE eventstore_schema_reference",
]


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.parametrize("replica", [False, True])
def test_the_owner_of_the_tables_cannot_change_a_schema(statement, replica):
    service.register("money", document(("cents", "long"), name="Money"))
    reference = documents.Reference("shop.Money", "money", 1)
    price = json.dumps(record(("price", "shop.Money")))
    service.register("prices", documents.read(price, references=(reference,)))
    before = list(RegisteredSchema.objects.order_by("id").values())
    with pytest.raises(DatabaseError, match="never changed or removed"):  # noqa: SIM117
        with transaction.atomic(), connection.cursor() as cursor:
            if replica:
                cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(statement)
    assert list(RegisteredSchema.objects.order_by("id").values()) == before


def test_a_version_cannot_lose_its_schema():
    service.register("a", document(SKU))
    with pytest.raises(DatabaseError), transaction.atomic():
        SubjectVersion.objects.update(schema=4711)
        connection.check_constraints()


def test_clients_that_register_the_same_schema_at_once_get_one_id():
    clients = 8
    together = Barrier(clients)

    def register():
        together.wait()
        return service.register("a", document(SKU))

    found = [each.result(30) for each in [in_thread(register) for _ in range(clients)]]
    assert {(each.number, each.stored.id) for each in found} == {(1, 1)}
    assert RegisteredSchema.objects.count() == SubjectVersion.objects.count() == 1


def test_clients_that_register_different_schemas_at_once_get_different_ids():
    clients = 8
    together = Barrier(clients)
    service.set_compatibility("a", "NONE")

    def register(number):
        together.wait()
        return service.register("a", document((f"f{number}", "int")))

    found = [each.result(30) for each in [in_thread(register, each) for each in range(clients)]]
    assert sorted(each.number for each in found) == list(range(1, clients + 1))
    assert len({each.stored.id for each in found}) == clients


def test_of_two_incompatible_schemas_at_once_one_is_refused():
    together = Barrier(2)
    service.register("a", document(SKU))

    def register(type_):
        together.wait()
        try:
            return service.register("a", document(SKU, ("b", type_, 0 if type_ == "int" else "")))
        except service.RegistryError as error:
            return error.kind.code

    found = [each.result(30) for each in [in_thread(register, t) for t in ("int", "string")]]
    assert found.count(409) == 1
    assert service.versions("a") == [1, 2]


def test_ids_of_a_new_epoch_lie_above_those_that_a_restore_may_have_lost(monkeypatch):
    assert service.register("a", document(SKU)).stored.id == 1
    next_id = store.NEXT_ID.replace(
        "SELECT coalesce(max(number) - 1, 0) FROM eventstore_epoch", "SELECT 2"
    )
    assert next_id != store.NEXT_ID
    monkeypatch.setattr(store, "NEXT_ID", next_id)
    assert service.register("b", document(("b", "int"))).stored.id == 2 * store.IDS_PER_EPOCH + 1
    assert service.register("c", document(("c", "int"))).stored.id == 2 * store.IDS_PER_EPOCH + 2


def test_import_keeps_ids_and_versions(client, http):
    client.update_mode("a", "IMPORT")

    def imported(schema, id_, version=-1, subject="a"):
        body = {"schema": schema.schema_str, "id": id_, "version": version}
        answer = http.post(f"/subjects/{subject}/versions", json=body)
        return answer.json().get("id") or answer.json()["error_code"]

    assert imported(ONE, 500, 7) == 500
    assert imported(ONE, 500, 7) == 500
    assert imported(OTHER, 600, 9) == 600  # compatibility is not checked
    assert client.get_versions("a") == [7, 9]
    assert imported(TWO, 600, 10) == 42205  # the id is taken
    assert imported(ONE, 700, 11) == 42207  # the schema has another one
    assert imported(TWO, 700, 9) == 42205  # the version is taken
    assert imported(TWO, 2_000_000_000) == 42205
    assert imported(TWO, -1) == 42205  # an id is needed
    assert imported(TWO, 800, subject="b") == 42205  # not in this mode
    client.delete_mode("a")
    assert client.register_schema("b", TWO) == 601
