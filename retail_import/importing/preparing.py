"""Read and check all files before anything is imported."""

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
    """Nothing is imported; the message says what is wrong with which file."""


class Task(NamedTuple):
    """Checked files. opening, expected: empty if there is no such file."""

    path: Path
    survey: Survey
    opening: list[OpeningStock]
    expected: Mapping[str, Any]


def prepare(path: Path, *, opening: Path | None, expected: Path | None) -> Task:
    """opening, expected: by default the files in the same folder. Raises ImportRejected."""
    found = _read(path, survey.of_file)
    opening = opening or _next_to(path, OPENING_STOCK)
    totals_path = expected or _next_to(path, EXPECTED)
    totals = _read(totals_path, _totals) if totals_path else {}
    # Totals found in the same folder may be of another file.
    if not expected and totals.get("source_sha256") != found.import_id:
        totals = {}
    return Task(
        path=path,
        survey=found,
        opening=_read(opening, lambda path: survey.opening_of(path, found)) if opening else [],
        expected=totals,
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
        raise ImportRejected(f"{path.name} is not a JSON object of totals.")
    return totals


def _next_to(path: Path, names: tuple[str, ...]) -> Path | None:
    return next((path.with_name(name) for name in names if path.with_name(name).exists()), None)
