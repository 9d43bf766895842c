"""Hooks for schemathesis: two of its checks would be wrong about this API."""

import json

import schemathesis
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

# Codes of requests that fit the schema and are rejected: rules that no schema can express.
BEYOND_SCHEMAS = {
    "forged": "a cursor has to be signed",
    "contradiction": "an exponent, if given, is the currency's own",
    "both": "a version or a time, not both",
    "empty": "lines or charges, one of them at least",
    "not_whole": "1.0 is an integer in JSON Schema, but not in this API",
    "address_refused": "a host has to have a public address",
    "unknown_type": "the types that are published",
    "card_number": "Luhn's formula is beyond a pattern",
    "invisible_characters": "those of plane 14 cannot be written in a pattern that all read",
    "null_characters_not_allowed": ("in any text; a schema would need a pattern for every string"),
}
# Schemathesis generates values of its own for these, whatever the pattern.
GENERATED_HEADERS = {"If-Match", "If-None-Match"}
# Like 409, which it knows: about the state of the object, not the form of the request.
STATE_ERRORS = {412, 422}
# Rejected before it was read: the URL or the headers are too long. It does not know these statuses.
NOT_READ = {414, 431}


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    """The schema is that of a line."""
    return (json.dumps(value) + "\n").encode()


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


def _is_beyond(error):
    return error["code"] in BEYOND_SCHEMAS or error.get("header") in GENERATED_HEADERS
