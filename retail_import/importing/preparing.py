"""Read all files to their ends before anything is imported, and refuse those that cannot be carried
through."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..retail.malformed import MalformedLine
from ..retail.opening_stock import OpeningStock
from . import survey
from .survey import Survey, WrongOpeningStock

Found = TypeVar("Found")

OPENING_STOCK = ("minimal_opening_stock.csv.gz", "minimal_opening_stock.csv")
EXPECTED = ("expected_totals.json",)


class ImportRejected(Exception):
    """Nothing is imported; the sentence says what is wrong with which file."""


class Task(NamedTuple):
    """Files without contradictions. opening: empty where none is stated. expected: empty where
    nothing is."""

    path: Path
    survey: Survey
    opening: list[OpeningStock]
    expected: Mapping[str, Any]


def prepare(path: Path, *, opening: Path | None, expected: Path | None) -> Task:
    """opening, expected: where none is named, the one that lies beside the file is taken. Raises
    Refused."""
    found = _read(path, survey.of_file)
    opening = opening or _beside(path, OPENING_STOCK)
    return Task(
        path=path,
        survey=found,
        opening=_read(opening, lambda path: survey.opening_of(path, found)) if opening else [],
        expected=_read(expected, _totals) if expected else _totals_beside(path, found),
    )


def _read(path: Path, reader: Callable[[Path], Found]) -> Found:
    try:
        return reader(path)
    except (MalformedLine, WrongOpeningStock) as error:
        raise ImportRejected(f"{path.name}: {error}") from error
    except OSError as error:
        raise ImportRejected(f"{path} cannot be read: {error.strerror}.") from error


def _totals(path: Path) -> Mapping[str, Any]:
    try:
        totals = json.loads(path.read_bytes())
    except ValueError as error:
        raise ImportRejected(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(totals, dict):
        raise ImportRejected(f"{path.name} holds no totals.")
    return totals


def _totals_beside(path: Path, found: Survey) -> Mapping[str, Any]:
    """Those of another file, which happens to lie in the same folder, are not this one's."""
    beside = _beside(path, EXPECTED)
    totals = _read(beside, _totals) if beside else {}
    return totals if totals.get("source_sha256") == found.import_id else {}


def _beside(path: Path, names: tuple[str, ...]) -> Path | None:
    return next((path.with_name(name) for name in names if path.with_name(name).exists()), None)
