"""Modes, as the documentation of the Confluent registry defines them."""

from .conftest import ONE, OTHER, TWO, refused

REFUSED = (422, 42205)


def test_read_only_refuses_every_change_and_answers_questions(client):
    id_ = client.register_schema("a", ONE)
    client.update_global_mode("READONLY")
    client.clear_caches()
    assert refused(client.register_schema, "a", TWO) == REFUSED
    assert refused(client.register_schema, "b", ONE) == REFUSED
    assert refused(client.delete_subject, "a") == REFUSED
    assert refused(client.delete_version, "a", 1) == REFUSED
    assert refused(client.set_compatibility, "a", "NONE") == REFUSED
    assert refused(client.set_compatibility, None, "NONE") == REFUSED
    assert refused(client.delete_config) == REFUSED
    assert client.register_schema("a", ONE) == id_  # nothing changes
    assert client.get_latest_version("a").version == 1
    assert client.lookup_schema("a", ONE).version == 1
    assert client.test_compatibility("a", TWO)


def test_a_subject_may_have_another_mode_than_all(client):
    client.update_global_mode("READONLY")
    client.update_mode("a", "READWRITE")
    client.register_schema("a", ONE)
    assert refused(client.register_schema, "b", ONE) == REFUSED
    client.update_global_mode("READWRITE")
    client.update_mode("a", "READONLY")
    assert refused(client.register_schema, "a", TWO) == REFUSED
    client.register_schema("b", TWO)


def test_read_only_for_all_whatever_a_subject_says(client, http):
    client.update_mode("a", "READWRITE")
    client.update_global_mode("READONLY_OVERRIDE")
    assert refused(client.register_schema, "a", ONE) == REFUSED
    found = http.get("/mode/a", params={"defaultToGlobal": "true"}).json()
    assert found == {"mode": "READONLY_OVERRIDE"}
    assert client.get_mode("a") == "READWRITE"
    client.update_global_mode("READWRITE")
    client.register_schema("a", ONE)


def test_import_begins_where_there_are_no_schemas(client):
    client.register_schema("a", ONE)
    assert refused(client.update_mode, "a", "IMPORT") == REFUSED
    assert refused(client.update_global_mode, "IMPORT") == REFUSED
    assert client.update_mode("b", "IMPORT") == "IMPORT"
    assert client.update_mode("a", "IMPORT", force=True) == "IMPORT"
    assert refused(client.register_schema, "a", OTHER) == REFUSED  # without an id
    client.update_mode("a", "READWRITE")
    client.delete_subject("a")
    assert client.update_global_mode("IMPORT") == "IMPORT"


def test_the_level_that_holds_for_a_subject(client, http):
    client.set_compatibility(level="FULL")
    found = http.get("/config/a", params={"defaultToGlobal": "true"}).json()
    assert found == {"compatibilityLevel": "FULL"}
