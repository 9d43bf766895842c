"""Hooks for schemathesis: four of its checks would be wrong about this API."""

import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
)

# Codes of requests that fit the schema and are rejected: rules that no schema can express.
BEYOND_SCHEMAS = {
    "forged": "a cursor has to be signed",
    "contradiction": "an exponent, if given, is the currency's own",
    "both": "a version or a time, not both",
    "empty": "lines or charges, one of them at least",
    "not_whole": "1.0 is an integer in JSON Schema, but not in this API",
    "null_characters_not_allowed": ("in any text; a schema would need a pattern for every string"),
}
# Schemathesis generates values of its own for these, whatever the pattern.
GENERATED_HEADERS = {"If-Match", "If-None-Match"}
# Like 409, which it knows: about the state of the object, not the form of the request.
STATE_ERRORS = {412, 422}
# Rejected before it was read: the URL or the headers are too long. It does not know these statuses.
NOT_READ = {414, 431}


@schemathesis.check
def whatever_fits_the_description_is_taken(ctx, response, case):
    if response.status_code in STATE_ERRORS:
        return None
    if response.status_code == 400 and all(
        _is_beyond(error) for error in response.json()["errors"]
    ):
        return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.check
def whatever_does_not_fit_is_refused(ctx, response, case):
    # A repeat under a key gets the first response, whatever its other headers are.
    if "idempotent-replayed" in response.headers or response.status_code in NOT_READ:
        return None
    return negative_data_rejection(ctx, response, case)


@schemathesis.check
def what_is_sent_is_of_a_described_type(ctx, response, case):
    return None if _is_minimal(response) else content_type_conformance(ctx, response, case)


@schemathesis.check
def what_is_sent_is_as_described(ctx, response, case):
    return None if _is_minimal(response) else response_schema_conformance(ctx, response, case)


def _is_minimal(response):
    """Without a body, as the client prefers. OpenAPI cannot describe an optional response body."""
    applied = ", ".join(response.headers.get("preference-applied", ()))
    return response.status_code == 202 and response.content == b"" and "return=minimal" in applied


def _is_beyond(error):
    return error["code"] in BEYOND_SCHEMAS or error["pointer"] in GENERATED_HEADERS
