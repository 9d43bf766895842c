"""Rebuild a read model beside the live one: fold the log into a table of its own, then swap the two
at once.

Readers and the subscription go on with the live table until the swap, which is one short commit.
Nothing but rows of the new table is written meanwhile: a projection has no other effect. An event
that cannot be folded stops the rebuild, and the live table stays as it is. How far it has come is
committed with the rows, so it can be gone on with after any death.
"""

from .diff import Difference, SubscriptionBehind
from .fold import RebuildFailed
from .parallel import ShareLost
from .records import (
    DiffReport,
    Rebuilding,
    found_differences,
    latest,
    latest_of_each,
    with_replaced,
)
from .run import (
    AlreadyRebuilding,
    NotAProjection,
    NotRebuilding,
    cancel,
    differences,
    forget,
    projection,
    projections,
    rebuild,
    request,
    request_comparison,
    request_swap,
    roll_back,
    work,
)
from .shadow_table import NotRebuildable
from .swap import NothingKept, Stopped

__all__ = [
    "AlreadyRebuilding",
    "DiffReport",
    "Difference",
    "NotAProjection",
    "NotRebuildable",
    "NotRebuilding",
    "NothingKept",
    "RebuildFailed",
    "Rebuilding",
    "ShareLost",
    "Stopped",
    "SubscriptionBehind",
    "cancel",
    "differences",
    "forget",
    "found_differences",
    "latest",
    "latest_of_each",
    "projection",
    "projections",
    "rebuild",
    "request",
    "request_comparison",
    "request_swap",
    "roll_back",
    "with_replaced",
    "work",
]
