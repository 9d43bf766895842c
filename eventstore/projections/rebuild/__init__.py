"""Rebuild a read model beside the live one: fold the log into a shadow table, then swap the tables.

Readers and the subscription use the live table until the swap, which is one short commit. Before
the swap, a rebuild writes nothing but rows of the shadow table: a projection has no other effect.
An event that cannot be folded stops the rebuild, and the live table stays unchanged. Progress is
committed together with the rows, so a rebuild can be resumed after any crash.
"""

from .diff import Difference as Difference
from .diff import SubscriptionBehind as SubscriptionBehind
from .fold import RebuildFailed as RebuildFailed
from .parallel import ShareLost as ShareLost
from .records import DiffReport as DiffReport
from .records import Rebuilding as Rebuilding
from .records import Stopped as Stopped
from .records import found_differences as found_differences
from .records import latest as latest
from .records import latest_of_each as latest_of_each
from .records import with_replaced as with_replaced
from .run import AlreadyRebuilding as AlreadyRebuilding
from .run import NotAProjection as NotAProjection
from .run import NotRebuilding as NotRebuilding
from .run import cancel as cancel
from .run import differences as differences
from .run import forget as forget
from .run import projection as projection
from .run import projections as projections
from .run import rebuild as rebuild
from .run import request as request
from .run import request_comparison as request_comparison
from .run import request_swap as request_swap
from .run import roll_back as roll_back
from .run import work as work
from .shadow_table import NotRebuildable as NotRebuildable
from .swap import NothingKept as NothingKept
