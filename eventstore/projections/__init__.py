"""Fold events into read models."""

from .fold import fold_event as fold_event
from .fold import fold_row as fold_row
from .fold import load as load
from .fold import new_row as new_row
from .fold import project as project
