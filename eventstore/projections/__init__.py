"""Fold events into read models."""

from .fold import blank, fold_one, load, project, step

__all__ = ["blank", "fold_one", "load", "project", "step"]
