"""Share what operations have in common: an OpenAPI document names it once, as a component."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

Parts = dict[str, Any]


def share(result: Parts, **_: Any) -> Parts:
    """A postprocessing hook of drf-spectacular. Parameters, headers and responses that occur more
    than once become components."""
    operations = [
        operation
        for paths in (result["paths"], result.get("webhooks", {}))
        for methods in paths.values()
        for operation in methods.values()
    ]
    components = result["components"]
    # Headers first: responses are equal if their headers are.
    headers = [headers for each in operations for headers in _headers(each)]
    components["headers"] = _shared("headers", _members(headers))
    parameters = [enumerate(each.get("parameters", ())) for each in operations]
    lists = [each.get("parameters", []) for each in operations]
    components["parameters"] = _shared(
        "parameters",
        [
            (owner, index, parameter["name"])
            for owner, each in zip(lists, parameters, strict=True)
            for index, parameter in each
        ],
    )
    responses = [each["responses"] for each in operations]
    components["responses"] = _shared(
        "responses",
        [
            (each, status, HTTPStatus(int(status)).phrase)
            for each in responses
            for status in each
            if status.isdigit()
        ],
    )
    return result


def _headers(operation: Parts) -> Iterator[Parts]:
    for response in operation["responses"].values():
        yield response.get("headers", {})


def _members(parts: list[Parts]) -> list[tuple[Any, Any, str]]:
    return [(each, name, name) for each in parts for name in each]


def _shared(kind: str, places: list[tuple[Any, Any, str]]) -> Parts:
    """The components of a kind. places: (container, index, name) of each part; a part that occurs
    more than once is replaced by a reference there."""
    texts = [json.dumps(owner[index], sort_keys=True) for owner, index, _ in places]
    counted = Counter(texts)
    variants: dict[str, list[str]] = defaultdict(list)
    components: Parts = {}
    for (owner, index, name), text in zip(places, texts, strict=True):
        if counted[text] == 1:
            continue
        known = variants[name]
        if text not in known:
            known.append(text)
        number = known.index(text) + 1
        key = re.sub(r"[^A-Za-z0-9._-]", "", name) + (f".{number}" if number > 1 else "")
        components[key] = owner[index]
        owner[index] = {"$ref": f"#/components/{kind}/{key}"}
    return components
