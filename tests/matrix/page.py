"""Write docs/guide/matrix.md from the executed cells, and parse it for comparison."""

import re
from collections.abc import Mapping
from pathlib import Path

from config.wiring import PROCESSES
from tools.verification.simulation.facts import FACTS

from .cells import CANNOT_BE, End, left_alone, lived
from .states import STATES

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "matrix.md"
BEGINNING = "<!-- `python -m tests.matrix` writes everything below -->"
SAME = "the same"

Outcomes = Mapping[str, tuple[str, ...]]


def outcomes(state: str) -> dict[str, tuple[str, ...]]:
    """By input: the outcome with each process."""
    alone = {process: left_alone(state, process) for process in PROCESSES}
    return {
        fact: tuple(_outcome(lived(state, fact, process), alone[process]) for process in PROCESSES)
        for fact in FACTS
    }


def written() -> dict[str, dict[str, tuple[str, ...]]]:
    """The table of the page, by state."""
    _, _, table = PAGE.read_text().partition(BEGINNING)
    sections = re.split(r"^### ", table, flags=re.MULTILINE)[1:]
    return {section.partition("\n")[0].strip(): _rows(section) for section in sections}


def left_alone_as_written() -> dict[str, str]:
    return dict(
        re.findall(r"^### (.+)\n\nWithout input: (.+)\.$", PAGE.read_text(), flags=re.MULTILINE)
    )


def write() -> None:
    head, _, _ = PAGE.read_text().partition(BEGINNING)
    PAGE.write_text(head + BEGINNING + "\n" + "".join(_section(state) for state in STATES))


def alone_in_words(state: str) -> str:
    ends = [_in_words(left_alone(state, process)) for process in PROCESSES]
    assert len(set(ends)) == 1, f"{state}: without input, the processes differ"
    return ends[0]


def _section(state: str) -> str:
    grouped: dict[tuple[str, ...], list[str]] = {}
    for fact, outcome in outcomes(state).items():
        grouped.setdefault(outcome, []).append(fact)
    rows = "".join(_row(facts, outcome) for outcome, facts in grouped.items())
    return (
        f"\n### {state}\n\nWithout input: {alone_in_words(state)}.\n\n"
        f"| input | outcome with orchestration | with choreography |\n|---|---|---|\n{rows}"
    )


def _row(facts: list[str], outcome: tuple[str, ...]) -> str:
    orchestrated, choreographed = outcome
    second = SAME if choreographed == orchestrated else choreographed
    return f"| {'; '.join(facts)} | {orchestrated} | {second} |\n"


def _rows(section: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and not cells[0].startswith(("input", "---")):
            outcome = (cells[1], cells[1] if cells[2] == SAME else cells[2])
            found |= dict.fromkeys(cells[0].split("; "), outcome)
    return found


def _outcome(end: End, alone: End) -> str:
    if end.answer == CANNOT_BE:
        return CANNOT_BE
    if end.answer:
        assert end._replace(answer="") == alone, (
            f"refused with {end.answer}, but the order ends as {end}"
        )
        return f"refused: {end.answer}"
    return "changes nothing" if end == alone else _in_words(end)


def _in_words(end: End) -> str:
    parts = [end.order, f"payment {end.payment}", f"stock {end.stock}", f"parcel {end.parcel}"]
    if end.returns != "NONE":
        parts.append(f"goods {end.returns}".removeprefix("goods NONE, "))
    if end.person != "-":
        parts.append(
            {"person": "**a person is called**", "dead-letter": "**a dead letter**"}[end.person]
        )
    return ", ".join(parts)
