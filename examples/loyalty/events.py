from eventstore.messages import Event


class PointsCredited(Event, frozen=True):
    customer_id: str
    order_id: str
    points: int


class PointsWithdrawn(Event, frozen=True):
    customer_id: str
    order_id: str
    points: int


EVENTS = {
    "loyalty.points_credited": PointsCredited,
    "loyalty.points_withdrawn": PointsWithdrawn,
}
