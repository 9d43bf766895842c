"""Fold events into read models."""

from .fold import fold_event, fold_row, load, new_row, project

__all__ = ["fold_event", "fold_row", "load", "new_row", "project"]
