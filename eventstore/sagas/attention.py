"""A fact that does not fit a process: a person is called, and the process goes on beneath until it
ends."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from eventstore.messages import Event, Intervened, State, replace
from eventstore.subscriptions import Reaction

NEEDS_ATTENTION = "NEEDS_ATTENTION"

React = Callable[[Any, Any], Reaction]


class Attentive(State, frozen=True):
    """A saga's state. beneath: the status of the process itself while a person is called; empty
    when nobody is.

    fact: what the person is called for.
    """

    status: str = "new"
    beneath: str = ""
    fact: str = ""


def call(waiting: Reaction, fact: str) -> Reaction:
    """Call a person for the fact. waiting: the reaction that leaves the process where it is, with
    its deadline."""
    state: Any = waiting.state
    return waiting._replace(
        state=replace(state, status=NEEDS_ATTENTION, beneath=state.status, fact=fact)
    )


def watched(
    react: Mapping[type[Event], React], waiting: Callable[[Any], Reaction]
) -> dict[type[Event], React]:
    """The reactions of a process, to be taken also while a person is called; `skip` says that the
    person has come.

    waiting: the reaction that leaves a state as it is, with its deadline.
    """
    return {event: _beneath(reaction, waiting) for event, reaction in react.items()}


def _beneath(react: React, waiting: Callable[[Any], Reaction]) -> React:
    @wraps(react)
    def reacting(state: Any, event: Any) -> Reaction:
        if not state.beneath:
            return react(state, event)
        process = replace(state, status=state.beneath, beneath="", fact="")
        if isinstance(event, Intervened) and event.action == "skip":
            return waiting(process)
        return _still_called(state, react(process, event))

    return reacting


def _still_called(called: Any, reaction: Reaction) -> Reaction:
    state: Any = reaction.state
    fact = (
        f"{called.fact}; {state.fact}"
        if state.beneath and state.fact not in called.fact
        else called.fact
    )
    status = state.beneath or state.status
    return reaction._replace(
        state=replace(state, status=NEEDS_ATTENTION, beneath=status, fact=fact)
    )
