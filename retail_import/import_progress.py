"""The progress of one file's import, recorded in the same append as the documents it counts."""

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Command, Event, State


class AdvanceImport(Command, frozen=True):
    """Record how much of a file is imported. import_id: the file's fingerprint.

    after: documents imported before. documents, lines: imported now.
    """

    import_id: str
    after: int
    documents: int
    lines: int


class ImportAdvanced(Event, frozen=True):
    """documents, lines: how many of the file are imported, from its beginning."""

    import_id: str
    documents: int
    lines: int


class ImportMovedOn(CommandRejected):
    """Another importer of the same file was faster."""


class HistoryImport(State, frozen=True):
    documents: int = 0
    lines: int = 0


def advance(history: HistoryImport, command: AdvanceImport) -> list[Event]:
    """A repeat is refused, not ignored: its documents would be imported twice."""
    if command.after != history.documents:
        raise ImportMovedOn(
            f"{history.documents} documents of the file are imported, not {command.after}."
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

# Stored names; they begin with the context that the import belonged to at first.
COMMANDS = {"orders.advance_import": AdvanceImport}
EVENTS = {"orders.import_advanced": ImportAdvanced}
