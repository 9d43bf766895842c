"""Fold the log with the code of another version and with today's, and find the first event whose
meaning differs."""

from .compare import Change, Report, Sample, replay
from .sides import VersionFailed
from .versions import NoSuchVersion, folder_of, root

__all__ = [
    "Change",
    "NoSuchVersion",
    "Report",
    "Sample",
    "VersionFailed",
    "folder_of",
    "replay",
    "root",
]
