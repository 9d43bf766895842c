"""Read and check the lines of an Online Retail file, in file order."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from . import london, values
from .csv_records import records
from .line import Line
from .london import DateForm
from .malformed import BadValue, MalformedLine, Report, refuse

HEADER = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)


def read(
    path: Path, form: DateForm = DateForm.MONTH_FIRST, report: Report = refuse
) -> Iterator[Line]:
    """Yields lines while reading. report: is called for each malformed line, which is left out."""
    positions: Counter[str] = Counter()
    latest = datetime.min.replace(tzinfo=UTC)
    for number, row in records(path, HEADER, report):
        try:
            invoice, code, description, quantity, at, price, customer, country = row
            positions[invoice] += 1
            line = Line(
                number,
                values.invoice(invoice),
                positions[invoice],
                values.name(code),
                values.description(description),
                values.whole(quantity),
                london.parse_after(at, latest, form),
                values.thousandths(price),
                values.customer(customer),
                values.name(country),
            )
            if line.at < latest:
                raise BadValue(
                    "its time is before that of the line above; lines must be in time order"
                )
            _check(line)
        except BadValue as error:
            report(MalformedLine(number, str(error), row[0], row))
            continue
        latest = line.at
        yield line


def _check(line: Line) -> None:
    """Refuse what every class of line would turn into lost units or money."""
    kind = line.invoice[0]
    if line.price < 0 and kind != "A":
        raise BadValue("only a ledger adjustment may have a negative price")
    if line.quantity == 0:
        raise BadValue("the quantity is 0")
    if line.quantity > 0 and kind == "C":
        raise BadValue("the quantity of a credit note must be negative")
    if line.quantity < 0 and line.price and kind not in "AC":
        raise BadValue("only a credit note may have a negative quantity at a price")


def date_form(path: Path) -> DateForm:
    """The form of the file's times. Raises AmbiguousDates, MalformedLine."""
    return london.detect(row[4] for _, row in records(path, HEADER, lambda line: None))
