"""Fold events into read models."""

from .fold import blank as blank
from .fold import fold_one as fold_one
from .fold import load as load
from .fold import project as project
from .fold import step as step
