"""Read the file of opening stock: the units in stock before the first movement."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from . import values
from .classes import is_goods
from .csv_records import records
from .malformed import BadValue, MalformedLine

HEADER = ("sku", "minimal_opening", "net", "closing", "moves")


class WrongOpeningStock(ValueError):
    """The opening stock contradicts the file of invoices, or is too small for it."""


class OpeningStock(Struct, frozen=True, gc=False):
    """units: the least opening stock with which no movement is refused. net, closing, moves: the
    result of the movements."""

    sku: str
    units: int
    net: int
    closing: int
    moves: int


def read(path: Path) -> Iterator[OpeningStock]:
    seen: set[str] = set()
    for number, row in records(path, HEADER):
        try:
            opening = OpeningStock(values.name(row[0]), *map(values.whole, row[1:]))
            if opening.sku in seen:
                raise BadValue(f"SKU {opening.sku} is in the file twice")
            if opening.sku != opening.sku.upper() or not is_goods(opening.sku):
                raise BadValue(f"{opening.sku!r} is not an upper-cased SKU of goods")
            if opening.units < 0 or opening.closing < 0 or opening.moves < 1:
                raise BadValue(
                    "opening and closing stock must not be negative, and moves must be at least 1"
                )
            if opening.units + opening.net != opening.closing:
                raise BadValue(
                    f"opening {opening.units} and net {opening.net} do not add up to closing"
                    f" {opening.closing}"
                )
        except BadValue as error:
            raise MalformedLine(number, str(error)) from None
        seen.add(opening.sku)
        yield opening


def compared(
    path: Path, needed: Mapping[str, OpeningStock], levels: Mapping[str, int]
) -> list[OpeningStock]:
    """Read an opening stock and compare it with what the invoices need. levels: units that earlier
    imports have left. Raises MalformedLine, WrongOpeningStock."""
    opening = list(read(path))
    stated, moved = {each.sku for each in opening}, set(needed)
    if missing := moved - stated:
        raise WrongOpeningStock(f"{min(missing)} is in the file, but not in the opening stock.")
    if extra := stated - moved:
        raise WrongOpeningStock(f"{min(extra)} is in the opening stock, but not in the file.")
    for each in opening:
        least = needed[each.sku]
        if each.net != least.net:
            raise WrongOpeningStock(
                f"{each.sku}: net {each.net} in the opening stock, but {least.net} in the file."
            )
        if each.units + max(0, levels.get(each.sku, 0)) < least.units:
            raise WrongOpeningStock(
                f"{each.sku}: opening stock {each.units}, but the file needs {least.units}."
            )
    return opening
