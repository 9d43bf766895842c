"""Lines, files and documents for tests."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from retail_import.retail import documents, reader, source
from retail_import.retail.documents import Document

HEADER = ",".join(reader.HEADER)


def line(
    invoice: str = "700001",
    code: str = "10001A",
    quantity: int | str = 6,
    at: str = "12/1/2010 8:26",
    price: str = "2.55",
    customer: str = "20001",
    country: str = "France",
    description: str = "RED KETTLE",
) -> str:
    return f"{invoice},{code},{description},{quantity},{at},{price},{customer},{country}"


def file(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "retail.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def check(path: Path) -> None:
    """Read the whole file, and keep nothing."""
    for _ in documents.read(path):
        pass


def documents_of(folder: Path, *lines: str) -> list[Document]:
    return list(documents.read(file(folder, *lines)))


class RetailFiles(NamedTuple):
    """dataset, opening: plain copies."""

    dataset: Path
    opening: Path
    fingerprint: str
    expected: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, stack: ExitStack) -> Self:
        names = ("online-retail-dataset.csv", "minimal_opening_stock.csv")
        packed = [_plain_or_packed(folder / name) for name in names]
        dataset, opening = (stack.enter_context(source.copied(each)) for each in packed)
        return cls(
            dataset.path,
            opening.path,
            dataset.fingerprint,
            json.loads((folder / "expected_totals.json").read_text(encoding="utf-8")),
        )


def _plain_or_packed(path: Path) -> Path:
    return path if path.exists() else path.with_suffix(".csv.gz")
