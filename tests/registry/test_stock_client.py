"""All calls of the stock client, and what other clients ask for beside them."""

import json

import pytest
from confluent_kafka.schema_registry import ServerConfig
from confluent_kafka.schema_registry.schema_registry_client import ConfigCompatibilityLevel

from .conftest import ONE, OTHER, REFERENCE, SKU, TWO, V1, answered, avro, json_schema, refused

SALES = "sales-value"


def test_registering_gives_an_id_and_the_same_one_again(client):
    first = client.register_schema(SALES, ONE)
    client.clear_caches()
    assert client.register_schema(SALES, ONE) == first
    assert client.register_schema("events.shop-shop.Sold", ONE) == first
    assert client.register_schema(SALES, TWO) == first + 1


def test_a_full_response_has_version_and_guid(client):
    made = client.register_schema_full_response(SALES, ONE)
    assert (made.schema_id, made.version, made.subject) == (1, 1, SALES)
    client.clear_caches()
    assert client.get_schema_by_guid(made.guid).schema_str == client.get_schema(1).schema_str


def test_a_schema_by_its_id(client):
    id_ = client.register_schema(SALES, TWO)
    client.clear_caches()
    found = client.get_schema(id_)
    assert json.loads(found.schema_str) == json.loads(TWO.schema_str)
    assert found.schema_type == "AVRO"
    assert client.get_schema(id_, subject_name=SALES).schema_str == found.schema_str
    assert client.get_schema(id_, subject_name="another").schema_str == found.schema_str
    assert refused(client.get_schema, 4711) == (404, 40403)
    assert refused(client.get_schema_by_guid, "00000000-0000-0000-0000-000000000001") == (
        404,
        40403,
    )


def test_looking_up_what_is_registered(client):
    id_ = client.register_schema(SALES, ONE)
    client.register_schema(SALES, TWO)
    client.clear_caches()
    found = client.lookup_schema(SALES, TWO)
    assert (found.subject, found.version, found.schema_id) == (SALES, 2, id_ + 1)
    assert refused(client.lookup_schema, SALES, OTHER) == (404, 40403)
    assert refused(client.lookup_schema, "nothing", ONE) == (404, 40401)


def test_versions_of_a_subject(client):
    client.register_schema(SALES, ONE)
    client.register_schema(SALES, TWO)
    assert client.get_versions(SALES) == [1, 2]
    assert client.get_versions(SALES, offset=1, limit=5) == [2]
    assert client.get_versions(SALES, limit=1) == [1]
    assert client.get_latest_version(SALES).version == 2
    assert client.get_version(SALES).version == 2
    client.clear_caches()
    found = client.get_version(SALES, 1)
    assert (found.subject, found.version, found.schema_id) == (SALES, 1, 1)
    assert json.loads(found.schema.schema_str) == json.loads(ONE.schema_str)
    assert client.get_latest_with_metadata(SALES, {}).version == 2
    assert refused(client.get_latest_with_metadata, SALES, {"owner": "ada"}) == (404, 40403)
    assert refused(client.get_version, SALES, 3) == (404, 40402)
    assert refused(client.get_version, "nothing", 1) == (404, 40401)
    assert refused(client.get_versions, "nothing") == (404, 40401)
    assert refused(client.get_version, SALES, 0) == (422, 42202)
    assert refused(client.get_version, SALES, "newest") == (422, 42202)


def test_lists_of_subjects(client):
    for subject in ("a-value", "b-value", "b-key", "gone"):
        client.register_schema(subject, ONE)
    client.delete_subject("gone")
    assert client.get_subjects() == ["a-value", "b-key", "b-value"]
    assert client.get_subjects(subject_prefix="b-") == ["b-key", "b-value"]
    assert client.get_subjects(subject_prefix=":*:b-v") == ["b-value"]
    assert client.get_subjects(offset=1, limit=1) == ["b-key"]
    assert client.get_subjects(deleted=True) == ["a-value", "b-key", "b-value", "gone"]
    assert client.get_subjects(deleted_only=True) == ["gone"]
    assert client.get_subjects(deleted=True, deleted_only=True) == ["gone"]


def test_where_a_schema_is_used(client):
    id_ = client.register_schema("a", ONE)
    client.register_schema("b", OTHER)
    client.set_compatibility("b", "NONE")
    client.register_schema("b", ONE)
    client.register_schema("c", ONE)
    client.delete_subject("c")
    assert client.get_subjects_by_schema_id(id_) == ["a", "b"]
    assert client.get_subjects_by_schema_id(id_, subject_name="b") == ["b"]
    assert client.get_subjects_by_schema_id(id_, deleted=True, offset=1) == ["b", "c"]
    places = [(each.subject, each.version) for each in client.get_schema_versions(id_)]
    assert places == [("a", 1), ("b", 2)]
    assert len(client.get_schema_versions(id_, deleted=True)) == 3
    assert len(client.get_schema_versions(id_, limit=1)) == 1
    assert refused(client.get_schema_versions, 4711) == (404, 40403)


def test_references_are_found_both_ways(client):
    client.register_schema("money", avro(("cents", "long"), name="Money"))
    reference = REFERENCE("shop.Money", "money", 1)
    price = avro(SKU, ("price", "shop.Money"), references=[reference])
    id_ = client.register_schema("prices", price)
    client.clear_caches()
    assert client.get_referenced_by("money", 1) == [id_]
    assert client.get_referenced_by("money") == [id_]
    assert client.get_referenced_by("prices", 1) == []
    assert client.get_version("prices", 1).schema.references == [reference]
    assert client.get_schema(id_).references == [reference]
    assert refused(client.get_referenced_by, "money", 2) == (404, 40402)
    assert refused(client.delete_subject, "money") == (422, 42206)
    assert refused(client.delete_version, "money", 1) == (422, 42206)
    client.delete_subject("prices")
    assert client.delete_subject("money") == [1]
    assert refused(client.delete_subject, "money", permanent=True) == (422, 42206)
    client.delete_subject("prices", permanent=True)
    assert client.delete_subject("money", permanent=True) == [1]


def test_a_reference_to_the_latest_version(client, http):
    client.register_schema("money", avro(("cents", "long"), name="Money"))
    client.register_schema("money", avro(("cents", "long"), ("note", "string", ""), name="Money"))
    price = avro(("price", "shop.Money"))
    body = {
        "schema": price.schema_str,
        "references": [{"name": "shop.Money", "subject": "money", "version": -1}],
    }
    assert http.post("/subjects/prices/versions", json=body).status_code == 200
    assert client.get_version("prices", 1).schema.references[0].version == 2


def test_json_schemas_with_references(client):
    money = json_schema({"cents": {"type": "integer"}})
    client.register_schema("money", money)
    reference = REFERENCE("money.json", "money", 1)
    price = json_schema({"price": {"$ref": "money.json"}}, references=[reference])
    id_ = client.register_schema("prices", price)
    client.clear_caches()
    assert client.get_schema(id_).schema_type == "JSON"
    assert client.get_schema(id_).references == [reference]
    assert client.get_referenced_by("money") == [id_]


def test_levels_of_all_and_of_one_subject(client):
    assert client.get_compatibility() == "BACKWARD"
    assert refused(client.get_compatibility, SALES) == (404, 40408)
    assert client.set_compatibility(level="full") == {"compatibility": "FULL"}
    assert client.get_compatibility() == "FULL"
    client.set_compatibility(SALES, "NONE")
    assert client.get_compatibility(SALES) == "NONE"
    assert client.get_config(SALES).compatibility_level == "NONE"
    client.set_config(SALES, ServerConfig(compatibility=ConfigCompatibilityLevel.FORWARD))
    assert client.delete_config(SALES).compatibility_level == "FORWARD"
    assert refused(client.delete_config, SALES) == (404, 40401)
    assert client.delete_config().compatibility_level == "FULL"
    assert client.get_config().compatibility_level == "BACKWARD"
    assert refused(client.set_compatibility, SALES, "SIDEWAYS") == (422, 42203)


def test_modes_of_all_and_of_one_subject(client):
    assert client.get_global_mode() == "READWRITE"
    assert refused(client.get_mode, SALES) == (404, 40409)
    assert client.update_mode(SALES, "READONLY") == "READONLY"
    assert client.get_mode(SALES) == "READONLY"
    assert client.delete_mode(SALES) == "READONLY"
    assert refused(client.delete_mode, SALES) == (404, 40401)
    assert client.update_global_mode("IMPORT") == "IMPORT"
    assert client.get_global_mode() == "IMPORT"
    assert refused(client.update_global_mode, "ASLEEP") == (422, 42204)


def test_testing_compatibility(client):
    client.register_schema(SALES, ONE)
    assert client.test_compatibility(SALES, TWO)
    assert client.test_compatibility(SALES, TWO, version=1)
    assert not client.test_compatibility(SALES, OTHER)
    assert client.test_compatibility_all_versions(SALES, TWO)
    assert not client.test_compatibility_all_versions(SALES, OTHER)
    assert client.test_compatibility("nothing", OTHER)
    assert client.test_compatibility_all_versions("nothing", OTHER)
    assert refused(client.test_compatibility, SALES, TWO, version=2) == (404, 40402)
    assert client.get_versions(SALES) == [1]


def test_why_it_is_incompatible(http, client):
    client.register_schema(SALES, ONE)
    path, body = f"/compatibility/subjects/{SALES}/versions/latest", {"schema": OTHER.schema_str}
    assert http.post(path, json=body).json() == {"is_compatible": False}
    found = http.post(path, json=body, params={"verbose": "true"}).json()
    assert found["is_compatible"] is False
    assert "it cannot read data of version 1" in found["messages"][0]
    body = {"schema": TWO.schema_str}
    assert http.post(path, json=body, params={"verbose": "true"}).json()["messages"] == []


def test_deleting_softly_and_permanently(client):
    client.register_schema(SALES, ONE)
    client.register_schema(SALES, TWO)
    assert refused(client.delete_version, SALES, 1, permanent=True) == (404, 40407)
    assert client.delete_version(SALES, 1) == 1
    assert refused(client.delete_version, SALES, 1) == (404, 40406)
    assert client.get_versions(SALES) == [2]
    assert client.get_versions(SALES, deleted=True) == [1, 2]
    assert client.get_versions(SALES, deleted_only=True) == [1]
    client.clear_caches()
    assert refused(client.get_version, SALES, 1) == (404, 40402)
    assert client.get_version(SALES, 1, deleted=True).version == 1
    assert refused(client.lookup_schema, SALES, ONE) == (404, 40403)
    assert client.lookup_schema(SALES, ONE, deleted=True).version == 1
    assert client.get_schema(1).schema_str
    assert client.delete_version(SALES, 1, permanent=True) == 1
    assert refused(client.delete_version, SALES, 1) == (404, 40402)
    assert refused(client.delete_subject, SALES, permanent=True) == (404, 40405)
    assert client.delete_subject(SALES) == [2]
    assert refused(client.delete_subject, SALES) == (404, 40404)
    assert client.delete_subject(SALES, permanent=True) == [2]
    assert refused(client.delete_subject, SALES) == (404, 40401)
    assert refused(client.delete_version, SALES, 1) == (404, 40401)


def test_a_deleted_subject_loses_its_settings(client):
    client.register_schema(SALES, ONE)
    client.set_compatibility(SALES, "NONE")
    client.delete_subject(SALES)
    assert refused(client.get_compatibility, SALES) == (404, 40408)


def test_what_was_deleted_is_registered_again_under_its_id(client):
    id_ = client.register_schema(SALES, ONE)
    client.delete_subject(SALES)
    client.clear_caches()
    assert client.register_schema(SALES, ONE) == id_
    assert client.get_versions(SALES) == [2]


def test_types_and_contexts(client):
    assert client.get_schema_types() == ["JSON", "AVRO"]
    assert client.get_contexts() == ["."]


def test_there_are_no_associations(client):
    assert refused(client.get_associations_by_resource_name, "sales", "-") == (404, 404)


def test_normalized_texts_are_one_schema(client):
    plain = avro(SKU)
    odd = avro(("sku", {"type": "string"}), name="shop.Sold", namespace="")
    id_ = client.register_schema(SALES, plain, normalize_schemas=True)
    assert client.register_schema(SALES, odd, normalize_schemas=True) == id_
    client.clear_caches()
    assert client.lookup_schema(SALES, odd, normalize_schemas=True).version == 1
    client.clear_caches()
    assert refused(client.lookup_schema, SALES, odd) == (404, 40403)


def test_blanks_and_the_order_of_members_do_not_matter(http):
    body = {"schema": '{"type": "record", "name": "A", "fields": []}'}
    other = {"schema": '{"name":"A",\n"fields":[ ],"type":"record"}'}
    first = http.post("/subjects/a/versions", json=body).json()
    assert http.post("/subjects/a/versions", json=other).json() == first


def test_texts_alone(http, client):
    id_ = client.register_schema(SALES, ONE)
    for path in (f"/subjects/{SALES}/versions/1/schema", f"/schemas/ids/{id_}/schema"):
        found = http.get(path)
        assert found.headers["Content-Type"] == V1
        assert found.json() == json.loads(ONE.schema_str)


def test_a_list_of_schemas(http, client):
    client.register_schema("a", ONE)
    client.register_schema("a", TWO)
    client.register_schema("b", json_schema({"a": {"type": "string"}}))
    client.delete_version("a", 1)

    def listed(**params):
        return [
            (each["subject"], each["version"])
            for each in http.get("/schemas", params=params).json()
        ]

    assert listed() == [("a", 2), ("b", 1)]
    assert listed(deleted="true") == [("a", 1), ("a", 2), ("b", 1)]
    assert listed(deleted="true", latestOnly="true") == [("a", 2), ("b", 1)]
    assert listed(subjectPrefix="b") == [("b", 1)]
    assert listed(offset="1", limit="1") == [("b", 1)]
    assert http.get("/schemas", params={"subjectPrefix": "b"}).json()[0]["schemaType"] == "JSON"


@pytest.mark.parametrize("subject", ["a/b", "a b", "ä", "a%2Fb", "a?b", "versions", "a/versions/1"])
def test_any_name_may_be_a_subject(client, subject):
    client.register_schema(subject, ONE)
    assert client.get_versions(subject) == [1]
    assert client.get_subjects() == [subject]


@pytest.mark.parametrize(
    "accept", [V1, "application/vnd.schemaregistry+json", "application/json", "*/*", f"{V1}, */*"]
)
def test_media_types(http, accept):
    for sent in (V1, "application/vnd.schemaregistry+json", "application/json"):
        headers = {"Accept": accept, "Content-Type": sent}
        content = json.dumps({"schema": '"string"'})
        answer = http.post("/subjects/a/versions", content=content, headers=headers)
        assert answer.json() == {"id": 1}
        expected = accept if accept.startswith("application/") and "," not in accept else V1
        assert answer.headers["Content-Type"].startswith(expected)


def test_the_root_answers(http):
    assert http.get("/").json() == {}
    assert answered(http.get("/nothing/of/this")) == (404, 404)
