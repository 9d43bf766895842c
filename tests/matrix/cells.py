"""Every cell of the matrix, lived through: a state, what comes in it, and what it leads to when all
is still."""

from collections.abc import Iterator
from typing import NamedTuple

from config.wiring import PROCESSES
from tools.verification.simulation import conservation
from tools.verification.simulation.facts import CANNOT_BE, FACTS
from tools.verification.simulation.world import HOUR

from .states import ORDER, SKU, STATES, Stage

# What a person does by hand, and vouches for.
BY_HAND = ("operator: skip", "operator discards a call")
LATE = 3 * HOUR


class End(NamedTuple):
    """answer: the code of a refusal. The rest is as the order's read model says; person: whether
    one is called."""

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
    """late: whether whoever stands still goes on doing so until all deadlines have passed, and
    answers then."""
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
    shown = stage.shown()
    dead = conservation.has_dead_letter(stage, ORDER)
    called = conservation.needs_a_person(stage, ORDER)
    return End(
        answer,
        shown["status"],
        shown["payment_status"],
        shown["reservation_status"],
        shown["shipment_status"],
        _returns(stage, shown["return_status"]),
        "dead-letter" if dead else "person" if called else "-",
    )


def _returns(stage: Stage, shown: str) -> str:
    """What has come back, and what became of a return that was asked for in this cell."""
    new = stage.state(f"return-{ORDER}-new").status
    return shown if new == "new" else f"{shown}, new return {new.upper()}"


__all__ = ["CANNOT_BE", "End", "cells", "left_alone", "lived"]
