"""What the imports of a shop's history have brought, recorded in the same append as the documents.

One stream for all files. So of two importers the slower one finds that the other has moved it on,
whatever their files have in common, and every plan knows what is in already.
"""

from collections.abc import Mapping

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Command, Event, State, Value

SHOP = "online-retail"


class ImportedDocument(Value, frozen=True):
    """digest: of its lines. A document with the same key and another digest is another one."""

    key: str
    digest: str


class Units(Value, frozen=True):
    sku: str
    units: int


class AdvanceImport(Command, frozen=True):
    """Record what one append imports. after: appends of all imports before this one.

    import_id: the file's fingerprint. stock: units that the documents add, below 0 take away.
    opening: units that were there before.
    """

    import_id: str
    after: int
    documents: tuple[ImportedDocument, ...] = ()
    stock: tuple[Units, ...] = ()
    opening: tuple[Units, ...] = ()
    shop: str = SHOP


class ImportAdvanced(Event, frozen=True):
    """As AdvanceImport."""

    import_id: str
    documents: tuple[ImportedDocument, ...]
    stock: tuple[Units, ...] = ()
    opening: tuple[Units, ...] = ()


class ImportMovedOn(CommandRejected):
    """Another importer was faster."""


class HistoryImport(State, frozen=True):
    appends: int = 0


def advance(history: HistoryImport, command: AdvanceImport) -> list[Event]:
    """A repeat is refused, not ignored: its documents would be imported twice."""
    if command.after != history.appends:
        raise ImportMovedOn(f"the imports have made {history.appends} appends, not {command.after}")
    return [ImportAdvanced(command.import_id, command.documents, command.stock, command.opening)]


HISTORY_IMPORT = Aggregate(
    category="import",
    identity="shop",
    initial=HistoryImport(),
    decide={
        AdvanceImport: advance,
    },
    evolve={
        ImportAdvanced: lambda history, event: HistoryImport(history.appends + 1),
    },
)


def units(of: Mapping[str, int]) -> tuple[Units, ...]:
    """of: units by SKU."""
    return tuple(Units(sku, count) for sku, count in of.items())


# Stored names; they begin with the context that the import belonged to at first.
COMMANDS = {"orders.advance_import": AdvanceImport}
EVENTS = {"orders.import_advanced": ImportAdvanced}
