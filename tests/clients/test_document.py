"""Tools that read OpenAPI documents find nothing wrong with ours."""

import json

import openapi_spec_validator


def test_it_is_a_valid_document(described):
    openapi_spec_validator.validate(described)


def test_it_breaks_none_of_the_recommended_rules(node, document):
    found = [json.loads(line) for line in node("lint.mjs", str(document)).splitlines()]
    # There is no license to name.
    assert [each for each in found if each["ruleId"] != "info-license"] == []


def test_what_breaks_a_rule_is_found(node, document, described):
    described["paths"]["/api/auth/login"]["post"].pop("summary")
    described["paths"]["/api/auth/login"]["post"].pop("security")
    document.write_text(json.dumps(described | {"servers": []}))
    found = {json.loads(line)["ruleId"] for line in node("lint.mjs", str(document)).splitlines()}
    assert {"operation-summary", "security-defined", "no-empty-servers"} <= found
