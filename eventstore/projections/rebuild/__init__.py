"""Rebuild a read model beside the live one: fold the log into a shadow table, then swap the tables.

Readers and the subscription use the live table until the swap, which is one short commit. Before
the swap, a rebuild writes nothing but rows of the shadow table: a projection has no other effect.
An event that cannot be folded stops the rebuild, and the live table stays unchanged. Progress is
committed together with the rows, so a rebuild can be resumed after any crash.
"""

from .diff import Difference, SubscriptionBehind
from .fold import RebuildFailed
from .parallel import ShareLost
from .records import (
    DiffReport,
    Rebuilding,
    Stopped,
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
from .swap import NothingKept

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
