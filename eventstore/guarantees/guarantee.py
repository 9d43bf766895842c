"""A guarantee, and the breach of one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

# What a check needs: only the settings; a server; our tables, at the migration that this code
# knows.
SETTINGS = "settings"
SERVER = "server"
TABLES = "tables"

Row = Sequence[object]


class Breach(NamedTuple):
    """A broken guarantee, described in sentences. culprit: the cause. mend: how to repair it."""

    finding: str
    id: str
    what: str
    culprit: str
    why: str
    mend: str
    stops: bool
    waiver: str


class Guarantee(NamedTuple):
    """Something that the event store relies on and that a setting outside of it can break.

    finding: its name for the doctor. id: of the system check. look: one query for what breaks it
    now, a row each. what, culprit, mend: sentences in which {0}, {1} … are values of the row. why:
    the consequence. stops: whether a process refuses to serve. waiver: the setting that accepts the
    breach; waived: whether it is set.
    """

    finding: str
    id: str
    needs: str
    look: Callable[[], Iterable[Row]]
    what: str
    culprit: str
    why: str
    mend: str
    stops: bool = True
    waiver: str = ""
    waived: Callable[[], bool] = lambda: False

    def breaches(self) -> Iterator[Breach]:
        for row in self.look():
            what, culprit, mend = (
                text.format(*row) for text in (self.what, self.culprit, self.mend)
            )
            yield Breach(
                self.finding, self.id, what, culprit, self.why, mend, self.stops, self.waiver
            )
