"""Fold events into read models."""

from .fold import fold_event, fold_row, load, new_row, project, require_storable

__all__ = ["fold_event", "fold_row", "load", "new_row", "project", "require_storable"]
