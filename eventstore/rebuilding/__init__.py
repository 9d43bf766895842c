"""Rebuild a read model beside the live one: fold the log into a table of its own, then swap the two at once.

Readers and the lane go on with the live table until the swap, which is one short commit. Nothing but rows of the new
table is written meanwhile: a projection has no other effect. An event that cannot be folded stops the rebuild, and the
live table stays as it is. How far it has come is committed with the rows, so it can be gone on with after any death.
"""

from .difference import Difference as Difference
from .difference import LaneBehind as LaneBehind
from .folding import RebuildFailed as RebuildFailed
from .records import Rebuilding as Rebuilding
from .records import Told as Told
from .records import latest as latest
from .records import latest_of_each as latest_of_each
from .records import told_differences as told_differences
from .records import with_replaced as with_replaced
from .running import AlreadyRebuilding as AlreadyRebuilding
from .running import NotAProjection as NotAProjection
from .running import NotRebuilding as NotRebuilding
from .running import cancel as cancel
from .running import differences as differences
from .running import forget as forget
from .running import projection as projection
from .running import projections as projections
from .running import rebuild as rebuild
from .running import request as request
from .running import request_comparison as request_comparison
from .running import request_swap as request_swap
from .running import roll_back as roll_back
from .running import work as work
from .shadow import NotRebuildable as NotRebuildable
from .sharing import ShareLost as ShareLost
from .swapping import NothingKept as NothingKept
from .swapping import Stopped as Stopped
