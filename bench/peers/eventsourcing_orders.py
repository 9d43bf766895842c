"""Peer: the order process on the Python library `eventsourcing` (9.5) with PostgreSQL.

Same work as the platform's own: place -> pay -> reserve -> ship -> confirm, one process application
per step, the library's own runner, its own recorders. It keeps no read models and counts no stock.

usage: python -m bench.one bench.peers.eventsourcing_orders ORDERS   (DATABASE_URL: empty)
"""

import json
import time
from uuid import UUID

from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.system import MultiThreadedRunner, ProcessApplication, System

from bench import basket
from bench.peers import libpq


class Order(Aggregate):
    class Placed(Aggregate.Created):
        customer: str
        items: list
        total: int

    @event(Placed)
    def __init__(self, customer, items, total):
        self.customer, self.items, self.total, self.status = customer, items, total, "PLACED"

    class Confirmed(Aggregate.Event):
        shipment: UUID

    @event(Confirmed)
    def confirm(self, shipment):
        self.status = "CONFIRMED"


class Payment(Aggregate):
    class Completed(Aggregate.Created):
        order: UUID
        amount: int

    @event(Completed)
    def __init__(self, order, amount):
        self.order, self.amount = order, amount


class Reservation(Aggregate):
    class Reserved(Aggregate.Created):
        order: UUID

    @event(Reserved)
    def __init__(self, order):
        self.order = order


class Shipment(Aggregate):
    class Made(Aggregate.Created):
        order: UUID

    @event(Made)
    def __init__(self, order):
        self.order = order


class Orders(ProcessApplication):
    def place(self, customer, items, total):
        order = Order(customer, items, total)
        self.save(order)
        return order.id

    @singledispatchmethod
    def policy(self, domain_event, processing_event):
        pass

    @policy.register
    def _(self, domain_event: Shipment.Made, processing_event):
        order = self.repository.get(domain_event.order)
        order.confirm(domain_event.originator_id)
        processing_event.collect_events(order)


class Payments(ProcessApplication):
    @singledispatchmethod
    def policy(self, domain_event, processing_event):
        pass

    @policy.register
    def _(self, domain_event: Order.Placed, processing_event):
        processing_event.collect_events(Payment(domain_event.originator_id, domain_event.total))


class Inventory(ProcessApplication):
    @singledispatchmethod
    def policy(self, domain_event, processing_event):
        pass

    @policy.register
    def _(self, domain_event: Payment.Completed, processing_event):
        processing_event.collect_events(Reservation(domain_event.order))


class Shipping(ProcessApplication):
    @singledispatchmethod
    def policy(self, domain_event, processing_event):
        pass

    @policy.register
    def _(self, domain_event: Reservation.Reserved, processing_event):
        processing_event.collect_events(Shipment(domain_event.order))


def main(orders: int) -> None:
    runner = MultiThreadedRunner(
        System(pipes=[[Orders, Payments, Inventory, Shipping, Orders]]), env=libpq.told()
    )
    runner.start()
    shop = runner.get(Orders)
    _wait_until_confirmed(shop, _place(shop, basket.WARM_UP))
    start = time.perf_counter()
    ids = _place(shop, orders)
    placed = time.perf_counter() - start
    _wait_until_confirmed(shop, ids)
    seconds = time.perf_counter() - start
    runner.stop()
    print(
        json.dumps(
            {"orders_per_s": orders / seconds, "seconds": seconds, "placed_per_s": orders / placed}
        )
    )


def _place(shop: Orders, orders: int) -> list[UUID]:
    return [shop.place("CUS-1", basket.items(number), basket.TOTAL) for number in range(orders)]


def _wait_until_confirmed(shop: Orders, ids: list[UUID]) -> None:
    # The last one first, for asking after all of them costs what they need themselves.
    while not _confirmed(shop, ids[-1]):
        time.sleep(0.05)
    while not all(_confirmed(shop, id_) for id_ in ids):
        time.sleep(0.05)


def _confirmed(shop: Orders, id_: UUID) -> bool:
    return shop.repository.get(id_).status == "CONFIRMED"
