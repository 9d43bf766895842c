"""What a guarantee is, and what is found when it is broken."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

# What a look needs: nothing but the settings; a server; our tables, migrated to what this code
# knows.
SETTINGS, SERVER, TABLES = "settings", "server", "tables"

Row = Sequence[object]


class Breach(NamedTuple):
    """One thing that is not as promises need it, in sentences. culprit: what stands in the way.
    mend: what to do."""

    finding: str
    id: str
    what: str
    culprit: str
    why: str
    mend: str
    stops: bool
    waiver: str


class Guarantee(NamedTuple):
    """Something that the promises rest on, and that somebody else's setting can take away.

    finding: what the doctor calls it. id: the system check's. look: what breaks it just now, a row
    each; one question. what, culprit, mend: sentences, in which {0}, {1} … are the row's. why: what
    it leads to.
    stops: whether a process refuses to serve. waiver: the setting by which it is accepted; waived:
    whether it is.
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
