"""The connection to PostgreSQL: statements, transactions, a side connection, lost connections."""

from .connection import ROLLED_BACK as ROLLED_BACK
from .connection import NotReadCommitted as NotReadCommitted
from .connection import OfThread as OfThread
from .connection import OnStandby as OnStandby
from .connection import SideConnection as SideConnection
from .connection import along_indexes as along_indexes
from .connection import atomic as atomic
from .connection import begin_read_committed as begin_read_committed
from .connection import beside as beside
from .connection import close as close
from .connection import compose as compose
from .connection import connect as connect
from .connection import copy_into as copy_into
from .connection import delete_older as delete_older
from .connection import execute as execute
from .connection import forget_if_lost as forget_if_lost
from .connection import in_transaction as in_transaction
from .connection import is_lost as is_lost
from .connection import name_statements_by_text as name_statements_by_text
from .connection import reported_backend as reported_backend
from .connection import rows as rows
from .connection import rows_in_binary as rows_in_binary
from .connection import rows_meanwhile as rows_meanwhile
from .connection import was_rolled_back as was_rolled_back
