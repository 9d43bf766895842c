from operator import attrgetter

from eventstore.subscriptions import Projection, Row

from .events import PointsCredited, PointsWithdrawn
from .models import Balance


def credited(row: Row, event: PointsCredited) -> Row:
    return row | {"points": row["points"] + event.points, "orders": row["orders"] + 1}


def withdrawn(row: Row, event: PointsWithdrawn) -> Row:
    return row | {"points": row["points"] - event.points, "orders": row["orders"] - 1}


BALANCES = Projection(
    model=Balance,
    category="account",
    key=attrgetter("customer_id"),
    evolve={
        PointsCredited: credited,
        PointsWithdrawn: withdrawn,
    },
)
