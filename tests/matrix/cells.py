"""Run a cell of the matrix: a state, a command or fact in it, and the end when nothing is left to
do."""

from collections.abc import Iterator
from typing import NamedTuple

from config.wiring import PROCESSES
from tools.verification.simulation import conservation
from tools.verification.simulation.facts import CANNOT_BE, FACTS
from tools.verification.simulation.world import HOUR

from .states import ORDER, SKU, STATES, Stage

# Actions by which an operator vouches for something done by hand.
BY_HAND = ("operator: skip", "operator discards a call")
LATE = 3 * HOUR


class End(NamedTuple):
    """answer: the code of a refusal. person: whether the process needs attention or has a dead
    letter. The rest is by the order's read model."""

    answer: str
    order: str
    payment: str
    stock: str
    parcel: str
    returns: str
    person: str

    def __str__(self) -> str:
        return " ".join(self[1:])


def cells() -> Iterator[tuple[str, str, str]]:
    for state in STATES:
        for fact in FACTS:
            for process in PROCESSES:
                yield state, fact, process


def left_alone(state: str, process: str) -> End:
    stage = _brought_about(state, process)
    stage.release()
    stage.run_out()
    return _end(stage, "")


def lived(state: str, fact: str, process: str, *, late: bool = False) -> End:
    """late: whether the held subscriptions answer only after all deadlines have passed."""
    stage = _brought_about(state, process)
    answer = FACTS[fact](stage, ORDER)
    if late:
        stage.run_for(LATE)
    stage.release()
    stage.run_out()
    conservation.check_order(stage, ORDER, seen_to=fact in BY_HAND)
    if fact not in BY_HAND:
        conservation.check_stock(stage, SKU)
    return _end(stage, answer)


def _brought_about(state: str, process: str) -> Stage:
    stage = Stage(process)
    STATES[state](stage)
    return stage


def _end(stage: Stage, answer: str) -> End:
    row = stage.row()
    dead = conservation.has_dead_letter(stage, ORDER)
    called = conservation.needs_a_person(stage, ORDER)
    return End(
        answer,
        row["status"],
        row["payment_status"],
        row["reservation_status"],
        row["shipment_status"],
        _returns(stage, row["return_status"]),
        "dead-letter" if dead else "person" if called else "-",
    )


def _returns(stage: Stage, row: str) -> str:
    """What came back, and the status of a return that was requested in this cell."""
    new = stage.state(f"return-{ORDER}-new").status
    return row if new == "new" else f"{row}, new return {new.upper()}"


__all__ = ["CANNOT_BE", "End", "cells", "left_alone", "lived"]
