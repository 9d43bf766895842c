"""Issue the documents of a file, some hundreds in one append, together with the progress mark.

The mark is a stream of its own (import_progress.py). An import killed at any moment continues after
its last append. Of two importers, the slower one finds the mark moved and stops.

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

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from django.db import DatabaseError
from uuid_utils.compat import uuid7

from eventstore.aggregate import CommandRejected
from eventstore.codec import Unstorable
from eventstore.commands import bus
from eventstore.commands.bus import Request
from eventstore.messages import Command, Metadata
from orders.order.aggregate import OrderAlreadyPlaced

from ..import_progress import AdvanceImport, ImportedDocument, ImportMovedOn, units
from ..retail.documents import Document, LedgerAdjustment, Order
from ..retail.stock import movements
from . import translation
from .crediting import Crediting, CreditResult
from .planning import Plan

# Documents, and products, in one append.
BATCH = 300
PRODUCTS = 2_000


class CannotGoOn(Exception):
    """The next batch is refused as a whole; the message says why."""


class IssueProgress(NamedTuple):
    """How much of the plan is issued, from its beginning."""

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


def issue(plan: Plan, between: Callable[[IssueProgress], None]) -> None:
    """between: called before each append and after the last. Raises CannotGoOn."""
    after, issued = plan.after, IssueProgress()
    between(issued)
    for mark, decided, outgoing in _openings(plan):
        _append(mark._replace(after=after), decided, outgoing)
        after += 1
    crediting = Crediting(plan.earlier)
    read = ((document, crediting.of(document)) for document in plan.documents())
    while batch := list(islice(read, BATCH)):
        between(issued)
        _append(Mark(plan.file.fingerprint, after, batch), *_commands(batch))
        after, issued = after + 1, issued.add(document for document, _ in batch)
    between(issued)


class Mark(NamedTuple):
    """What one append brings; becomes the command that records it."""

    import_id: str
    after: int
    batch: Sequence[tuple[Document, CreditResult]] = ()
    opening: dict[str, int] = {}

    def command(self) -> AdvanceImport:
        stock: Counter[str] = Counter()
        for document, _ in self.batch:
            for movement in movements(document):
                stock[movement.sku] += movement.units
        return AdvanceImport(
            import_id=self.import_id,
            after=self.after,
            documents=tuple(
                ImportedDocument(document.key, document.digest) for document, _ in self.batch
            ),
            stock=units(stock),
            opening=units(self.opening),
        )


def _openings(plan: Plan) -> Iterator[tuple[Mark, list[Request], list[Request]]]:
    """Before any document: the products that the catalogue does not know, and the opening stock."""
    products = iter([each for sku, each in plan.survey.products.items() if sku not in plan.kept])
    opening = iter(plan.opening.items())
    while True:
        listed = list(islice(products, PRODUCTS))
        received = dict(islice(opening, PRODUCTS))
        if not listed and not received:
            return
        yield (
            Mark(plan.file.fingerprint, 0, opening=received),
            _requests(map(translation.import_product, listed)),
            _requests(translation.receive_stock(*each) for each in received.items()),
        )


def _commands(
    batch: Sequence[tuple[Document, CreditResult]],
) -> tuple[list[Request], list[Request]]:
    """The commands to decide, and those to put into the outbox."""
    decided, outgoing = list[Request](), list[Request]()
    for document, credited in batch:
        match document:
            case Order():
                own: list[Command] = [translation.import_order(document)]
            case LedgerAdjustment():
                own = [*translation.adjust_ledger(document)]
            case _:
                own = []
        credit = [credited.credit] if credited.credit else []
        decided += _requests([*own, *credited.returns, *credit])
        outgoing += _requests([*translation.adjust_stock(document), *credited.restocks])
    return decided, outgoing


def _requests(commands: Iterable[Command]) -> list[Request]:
    """Requests with one correlation id."""
    metadata = Metadata(correlation_id=uuid7(), actor="import")
    return [Request(command, metadata) for command in commands]


def _append(mark: Mark, decided: Sequence[Request], outgoing: Sequence[Request]) -> None:
    try:
        # The mark comes first: the slower of two importers must find it moved before it finds its
        # orders placed.
        bus.dispatch_requests([*_requests([mark.command()]), *decided], owing=outgoing)
    except ImportMovedOn as refusal:
        raise CannotGoOn(f"Another import is running: {refusal}.") from refusal
    except OrderAlreadyPlaced as refusal:
        raise CannotGoOn(f"Order {refusal} is in already, but from no import.") from refusal
    except (CommandRejected, Unstorable) as error:
        raise CannotGoOn(f"{type(error).__name__}: {error}") from error
    except DatabaseError as error:
        raise CannotGoOn(
            f"The database has refused an append: {str(error).splitlines()[0]}. What was imported"
            " before it stays. Start the import again to continue."
        ) from error
