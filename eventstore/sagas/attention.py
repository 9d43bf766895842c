"""Facts that do not fit a process: a person is called, and meanwhile the process continues."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from eventstore.messages import Event, Intervened, State, replace
from eventstore.subscriptions import Reaction

NEEDS_ATTENTION = "NEEDS_ATTENTION"

React = Callable[[Any, Any], Reaction]


class Attentive(State, frozen=True):
    """A saga's state. beneath: the status of the process itself while a person is called, else "".
    fact: what the person is called for.
    """

    status: str = "new"
    beneath: str = ""
    fact: str = ""


def call(waiting: Reaction, fact: str) -> Reaction:
    """Call a person about the fact. waiting: the reaction that keeps the state and its deadline."""
    state: Any = waiting.state
    return waiting._replace(
        state=replace(state, status=NEEDS_ATTENTION, beneath=state.status, fact=fact)
    )


def watched(
    react: Mapping[type[Event], React], waiting: Callable[[Any], Reaction]
) -> dict[type[Event], React]:
    """Wrap the reactions of a process so that they also work while a person is called.

    The intervention `skip` ends the call. waiting: returns the reaction that keeps a state and its
    deadline.
    """
    return {event: _also_while_called(reaction, waiting) for event, reaction in react.items()}


def _also_while_called(react: React, waiting: Callable[[Any], Reaction]) -> React:
    @wraps(react)
    def wrapped(state: Any, event: Any) -> Reaction:
        if not state.beneath:
            return react(state, event)
        process = replace(state, status=state.beneath, beneath="", fact="")
        if isinstance(event, Intervened) and event.action == "skip":
            return waiting(process)
        # The reaction of the process, with the call on top. A new fact is added to the earlier one.
        reaction = react(process, event)
        after: Any = reaction.state
        is_new = after.beneath and after.fact not in state.fact
        fact = f"{state.fact}; {after.fact}" if is_new else state.fact
        beneath = after.beneath or after.status
        return reaction._replace(
            state=replace(after, status=NEEDS_ATTENTION, beneath=beneath, fact=fact)
        )

    return wrapped
