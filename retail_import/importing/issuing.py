"""Issue the documents of a file, some hundreds in one append, together with the progress mark.

The mark is a stream of its own (import_progress.py). An import killed at any moment continues after
its last append. Of two importers of one file, the slower one finds the mark moved and stops.

Stock may fall to exactly 0, yet the importer waits for nothing. The append that places orders also
enqueues, for inventory's subscription, the commands that adjust stock and that restock the goods of
credit notes. An order's reservation is a later command, sent once the order is placed and paid. It
comes after every adjustment of its own append and of all earlier appends, because the subscription
keeps the order of the outbox. (The saga of a return requests the restocking again, later; that is a
repeat.) So whenever the subscription decides, there is a document n of the file such that

    available = opening + adjustments up to n - reservations of some of the orders up to n
             >= opening + adjustments up to n - all the orders up to n
              = what the shop's own books held after n, which is never below 0;

n is within an append while that append's adjustments are decided, and its last document afterwards.
The order of the reservations does not matter. Inventory's subscription is the only writer of stock:
if the importer appended adjustments itself, the two would conflict all the time.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from uuid_utils.compat import uuid7

from eventstore.aggregate import CommandRejected, stream_name
from eventstore.codec import Unstorable
from eventstore.commands import bus, repository
from eventstore.commands.bus import Request
from eventstore.messages import Command, Metadata
from orders.order.aggregate import OrderAlreadyPlaced

from ..import_progress import HISTORY_IMPORT, AdvanceImport, HistoryImport, ImportMovedOn
from ..retail import documents
from ..retail.documents import Document, LedgerAdjustment, Order
from ..retail.opening_stock import OpeningStock
from . import translation
from .crediting import Crediting
from .survey import Survey

BATCH = 300


class CannotGoOn(Exception):
    """The next batch is refused as a whole; the message says why."""


class IssueProgress(NamedTuple):
    """How much of the file is imported, from its beginning."""

    documents: int = 0
    lines: int = 0
    orders: int = 0

    def add(self, batch: Iterable[Document]) -> "IssueProgress":
        documents, lines, orders = self
        for document in batch:
            documents += 1
            lines += len(document.lines)
            orders += isinstance(document, Order)
        return IssueProgress(documents, lines, orders)


def mark(import_id: str) -> HistoryImport:
    found: HistoryImport = repository.load_one(
        stream_name(HISTORY_IMPORT.category, import_id)
    ).state
    return found


def issue(
    path: Path,
    survey: Survey,
    opening: Iterable[OpeningStock],
    between: Callable[[IssueProgress], None],
) -> None:
    """Issue what is not imported yet. between: called before each append and after the last. Raises
    CannotGoOn."""
    crediting = Crediting()
    # Imported documents are matched once more: a later credit may return their goods.
    read = ((document, crediting.of(document)) for document in documents.read(path))
    issued = IssueProgress().add(
        document for document, _ in islice(read, mark(survey.import_id).documents)
    )
    while batch := list(islice(read, BATCH)):
        between(issued)
        after = issued.add(document for document, _ in batch)
        # The mark comes first: the slower of two importers must find it moved before it finds its
        # orders placed.
        decided = _requests(
            [AdvanceImport(survey.import_id, issued.documents, after.documents, after.lines)]
        )
        outgoing: list[Request] = []
        if not issued.documents:
            decided += _requests(map(translation.list_product, survey.products.values()))
            stocked = (each for each in opening if each.units > 0)
            outgoing += _requests(map(translation.receive_stock, stocked))
        for document, credited in batch:
            match document:
                case Order():
                    own: list[Command] = [translation.import_order(document)]
                case LedgerAdjustment():
                    own = [translation.adjust_ledger(document)]
                case _:
                    own = []
            credit = [credited.credit] if credited.credit else []
            decided += _requests([*own, *credited.returns, *credit])
            outgoing += _requests([*translation.adjust_stock(document), *credited.restocks])
        _append(survey, decided, outgoing)
        issued = after
    between(issued)


def _requests(commands: Iterable[Command]) -> list[Request]:
    """Requests with one correlation id."""
    metadata = Metadata(correlation_id=uuid7(), actor="import")
    return [Request(command, metadata) for command in commands]


def _append(survey: Survey, decided: Sequence[Request], outgoing: Sequence[Request]) -> None:
    try:
        bus.dispatch_requests(decided, owing=outgoing)
    except ImportMovedOn as refusal:
        raise CannotGoOn(f"Another importer of this file is running: {refusal}") from refusal
    except OrderAlreadyPlaced as refusal:
        raise CannotGoOn(
            f"Invoice {survey.invoices[str(refusal)]} is imported already, from another file."
        ) from refusal
    except (CommandRejected, Unstorable) as error:
        raise CannotGoOn(f"{type(error).__name__}: {error}") from error
