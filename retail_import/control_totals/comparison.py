"""Compare the totals of a file with the expected ones."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """expected, actual: None if the path is missing."""

    path: str
    expected: object
    actual: object


def compare(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[Difference]:
    ours, theirs = dict(_leaves(actual)), dict(_leaves(expected))
    return [
        Difference(path, theirs.get(path), ours.get(path))
        for path in theirs | ours
        if theirs.get(path) != ours.get(path)
    ]


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, object]]:
    match node:
        case dict():
            for name, child in node.items():
                yield from _leaves(child, f"{path}.{name}" if path else name)
        case list():
            for index, child in enumerate(node):
                yield from _leaves(child, f"{path}[{index}]")
        case _:
            yield path, node
