"""The import of a shop's history: how much of one file is in. The mark goes into the log with what it counts."""

from eventstore.aggregate import Aggregate, Refusal
from eventstore.messages import Event, State

from .commands import AdvanceImport
from .events import ImportAdvanced


class ImportMovedOn(Refusal):
    """Another importer of the same file was first."""


class HistoryImport(State, frozen=True):
    documents: int = 0
    lines: int = 0


def advance(history: HistoryImport, command: AdvanceImport) -> list[Event]:
    """A repeat is refused, not ignored: what comes with it would be taken in twice."""
    if command.after != history.documents:
        raise ImportMovedOn(f"{history.documents} documents of the file are in, not {command.after}.")
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
