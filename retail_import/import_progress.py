"""The import of a shop's history: how much of one file is in. The mark goes into the log with what
it counts."""

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Command, Event, State


class AdvanceImport(Command, frozen=True):
    """Note how much of a file of past invoices is in. import_id: the file's fingerprint.

    after: the documents that were in before; documents, lines: those that are in now.
    """

    import_id: str
    after: int
    documents: int
    lines: int


class ImportAdvanced(Event, frozen=True):
    """documents, lines: how many of the file, from its beginning, are in."""

    import_id: str
    documents: int
    lines: int


class ImportMovedOn(CommandRejected):
    """Another importer of the same file was first."""


class HistoryImport(State, frozen=True):
    documents: int = 0
    lines: int = 0


def advance(history: HistoryImport, command: AdvanceImport) -> list[Event]:
    """A repeat is refused, not ignored: what comes with it would be taken in twice."""
    if command.after != history.documents:
        raise ImportMovedOn(
            f"{history.documents} documents of the file are in, not {command.after}."
        )
    return [ImportAdvanced(command.import_id, command.documents, command.lines)]


HISTORY_IMPORT = Aggregate(
    category="import",
    identity="import_id",
    initial=HistoryImport(),
    decide={
        AdvanceImport: advance,
    },
    evolve={
        ImportAdvanced: lambda history, event: HistoryImport(event.documents, event.lines),
    },
)

# The names by which they are stored.
COMMANDS = {"orders.advance_import": AdvanceImport}
EVENTS = {"orders.import_advanced": ImportAdvanced}
