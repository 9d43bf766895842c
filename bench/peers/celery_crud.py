"""Peer: what most Django teams would write: plain CRUD models and one Celery task per step.

place -> pay -> reserve -> ship -> confirm; each step is a transaction that updates rows and, on
commit, queues the next task. No event log, no outbox: a crash between commit and queue loses the
order.

usage: python -m bench.one bench.peers.celery_crud ORDERS   (DATABASE_URL, REDIS_URL: empty)
"""

import json
import os
import time
import uuid

import django
import environ
from celery import Celery
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F

from bench import basket
from bench.workers import worker

PROCESSES = 2

if not settings.configured:
    settings.configure(
        DATABASES={"default": environ.Env().db_url("DATABASE_URL") | {"CONN_MAX_AGE": None}},
        INSTALLED_APPS=[],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()

app = Celery("peer", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=16, task_acks_late=True)


class Row(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        app_label = "peer"


class Stock(models.Model):
    sku = models.CharField(primary_key=True, max_length=20)
    available = models.IntegerField()

    class Meta:
        app_label = "peer"


class Order(Row):
    customer = models.CharField(max_length=40)
    items = models.JSONField()
    total = models.IntegerField()
    status = models.CharField(max_length=20, default="PLACED", db_index=True)

    class Meta(Row.Meta):
        pass


class Payment(Row):
    order_id = models.UUIDField(unique=True)
    amount = models.IntegerField()

    class Meta(Row.Meta):
        pass


class Reservation(Row):
    order_id = models.UUIDField(unique=True)

    class Meta(Row.Meta):
        pass


class Shipment(Row):
    order_id = models.UUIDField(unique=True)

    class Meta(Row.Meta):
        pass


@app.task
def pay(order_id):
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        Payment.objects.create(order_id=order.pk, amount=order.total)
        Order.objects.filter(pk=order_id).update(status="PAID")
        transaction.on_commit(lambda: reserve.delay(order_id))


@app.task
def reserve(order_id):
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        for item in sorted(order.items, key=lambda item: item["product_id"]):
            stock = Stock.objects.filter(sku=item["product_id"], available__gte=item["quantity"])
            if not stock.update(available=F("available") - item["quantity"]):
                raise RuntimeError("no stock")
        Reservation.objects.create(order_id=order.pk)
        Order.objects.filter(pk=order_id).update(status="RESERVED")
        transaction.on_commit(lambda: ship.delay(order_id))


@app.task
def ship(order_id):
    with transaction.atomic():
        Shipment.objects.create(order_id=order_id)
        transaction.on_commit(lambda: confirm.delay(order_id))


@app.task
def confirm(order_id):
    Order.objects.filter(pk=order_id).update(status="CONFIRMED")


def main(orders: int) -> None:
    _create_tables()
    with worker(app, "bench.peers.celery_crud", PROCESSES):
        _place(basket.WARM_UP)
        _wait_until_confirmed(basket.WARM_UP)
        start = time.perf_counter()
        _place(orders)
        placed = time.perf_counter() - start
        _wait_until_confirmed(basket.WARM_UP + orders)
        seconds = time.perf_counter() - start
    print(
        json.dumps(
            {"orders_per_s": orders / seconds, "seconds": seconds, "placed_per_s": orders / placed}
        )
    )


def _create_tables() -> None:
    with connection.schema_editor() as editor:
        for model in (Stock, Order, Payment, Reservation, Shipment):
            editor.create_model(model)
    Stock.objects.bulk_create([Stock(sku=sku, available=basket.PLENTY) for sku in basket.PRODUCTS])


def _place(orders: int) -> None:
    for number in range(orders):
        with transaction.atomic():
            order = Order.objects.create(
                customer="CUS-1", total=basket.TOTAL, items=basket.items(number)
            )
            transaction.on_commit(lambda id_=str(order.pk): pay.delay(id_))


def _wait_until_confirmed(orders: int) -> None:
    while Order.objects.filter(status="CONFIRMED").count() < orders:
        time.sleep(0.05)
