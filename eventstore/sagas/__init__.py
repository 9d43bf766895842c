"""Sagas, processes of several steps: react to messages, deliver deadlines, intervene by hand."""

from .attention import NEEDS_ATTENTION
from .interventions import (
    INTERVENTIONS,
    MovedOn,
    NoSuchSaga,
    Running,
    allowed,
    intervene,
    names,
    running,
    statuses,
)
from .process import NewerState, key_of, react, tell_deadlines

__all__ = [
    "INTERVENTIONS",
    "NEEDS_ATTENTION",
    "MovedOn",
    "NewerState",
    "NoSuchSaga",
    "Running",
    "allowed",
    "intervene",
    "key_of",
    "names",
    "react",
    "running",
    "statuses",
    "tell_deadlines",
]
