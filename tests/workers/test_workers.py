"""Any number of workers, on any number of machines, whatever becomes of the broker: each order
ends, and ends once."""

import os
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from kombu import Connection

from config.celery import app
from eventstore import tasks
from eventstore.commands import bus
from eventstore.delivery import heartbeats
from eventstore.models import Parked
from eventstore.money import Money
from eventstore.outbox import cursors
from orders.commands import ListProduct
from orders.models import ProductView
from tests.eventstore.concurrently import until
from tests.messaging.conftest import server
from tests.proxy import Proxy
from tools.devserver import rabbitmq

from .worker import PROCESSES

pytestmark = [pytest.mark.worker, pytest.mark.slow]

REDIS_IS_THE_BROKER = settings.CELERY_BROKER_URL.startswith("redis")

PAID_ONCE = ["payments.payment_requested", "payments.payment_completed"]
CONFIRMED_ONCE = ["orders.order_placed", "orders.order_confirmed"]


def all_are_confirmed_once(shop, orders):
    for order_id in orders:
        shop.comes_to(order_id, status="CONFIRMED", shipment_status="CREATED")
        assert shop.types_of(f"payment-{order_id}") == PAID_ONCE
        assert shop.types_of(f"order-{order_id}") == CONFIRMED_ONCE


def test_two_machines_with_a_beat_each_do_nothing_twice_and_keep_the_order_of_each_stream(
    workers, shop
):
    machines = [workers().until_it_is_ready() for _ in range(2)]
    shop.stocked(100)
    all_are_confirmed_once(shop, [shop.place() for _ in range(40)])
    until(lambda: not cursors.work())
    until(lambda: all(map(has_taken_part, machines)), seconds=30)
    assert all(is_beating(machine) for machine in machines)


def has_taken_part(machine):
    """Whether one of its processes has had a turn at the subscriptions."""
    noted = {
        int(each.name.rpartition(":")[2])
        for each in heartbeats.heartbeats()
        if each.kind == heartbeats.WORKER
    }
    return noted & {each.pid for each in machine.processes()}


def is_beating(machine):
    """Its beat has opened the book of what it sends when."""
    return machine.program.poll() is None and any(machine.log.parent.glob("beat*"))


def test_what_the_broker_forgot_is_done_all_the_same(workers, shop):
    """Emptied while orders are under way, and once more: nudges and the beat's polls are gone; in
    Redis, all keys."""
    worker = workers().until_it_is_ready()
    shop.stocked(100)
    orders = []
    for _ in range(4):
        orders += [shop.place() for _ in range(5)]
        flush_the_broker()
    all_are_confirmed_once(shop, orders)
    assert worker.program.poll() is None


def flush_the_broker():
    with Connection(settings.CELERY_BROKER_URL) as broker:
        if REDIS_IS_THE_BROKER:
            broker.default_channel.client.flushall()
        else:
            broker.default_channel.queue_purge(settings.CELERY_TASK_DEFAULT_QUEUE)


def test_a_worker_that_is_cut_off_from_its_broker_works_on(workers, shop):
    """Nobody nudges, no beat polls, the broker is unreachable: the worker looks for itself, every
    few seconds."""
    broker = urlsplit(os.environ["CELERY_BROKER_URL"])
    proxy = Proxy(broker.hostname, broker.port)
    url = broker._replace(
        netloc=f"{broker.username or ''}:{broker.password or ''}@{proxy.host}:{proxy.port}"
    ).geturl()
    worker = workers(beat=False, environment={"CELERY_BROKER_URL": url}).until_it_is_ready()
    proxy.close()
    shop.stocked(100)
    all_are_confirmed_once(shop, [shop.place() for _ in range(10)])
    assert worker.program.poll() is None


def test_each_process_has_a_database_connection_of_its_own(workers, shop):
    """What is open when a process is forked belongs to both, and their answers are mixed up."""
    worker = workers().until_it_is_ready()
    shop.stocked(100)
    all_are_confirmed_once(shop, [shop.place() for _ in range(20)])
    connected = until(lambda: tasks.deliver.delay() and both_are_connected(worker), seconds=30)
    ports = [port for each in connected.values() for port in each]
    assert len(set(ports)) == len(ports)
    assert worker.program.pid not in connected


def both_are_connected(worker):
    """The local ports of each process's connections to the database, when both that run tasks have
    one."""
    found = {each.pid: to_the_database(each) for each in worker.processes()}
    connected = {pid: ports for pid, ports in found.items() if ports}
    return connected if len(connected) == PROCESSES else None


def to_the_database(process):
    port = int(connection.settings_dict["PORT"])
    return [
        each.laddr.port
        for each in process.net_connections()
        if each.raddr and each.raddr.port == port
    ]


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_listen_too(workers, shop, pool):
    """There is no beat, and nobody else delivers."""
    worker = workers(beat=False, pool=pool).until_it_is_ready()
    shop.stocked(100)
    all_are_confirmed_once(shop, [shop.place() for _ in range(10)])
    worker.program.terminate()
    assert worker.program.wait(30) == 0


class Pickled:
    """Unpickling it makes the file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickled_message_is_refused_and_never_unpickled(workers, shop, tmp_path):
    worker = workers().until_it_is_ready()
    made = tmp_path / "made by the message"
    with app.connection_for_write() as broker:
        producer = broker.Producer(serializer="pickle")
        headers = {"id": "1", "task": "eventstore.deliver", "lang": "py"}
        producer.publish(
            ((Pickled(made),), {}, {}),
            headers=headers,
            exchange="",
            routing_key=settings.CELERY_TASK_DEFAULT_QUEUE,
        )
    until(lambda: b"ContentDisallowed" in worker.log.read_bytes(), seconds=30)
    shop.stocked(1)
    all_are_confirmed_once(shop, [shop.place()])
    assert not made.exists()


@pytest.mark.skipif(
    not REDIS_IS_THE_BROKER, reason="RabbitMQ knows by the connection that its holder is gone"
)
def test_a_task_is_killed_before_the_broker_gives_it_to_another():
    assert (
        settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
        > settings.CELERY_TASK_TIME_LIMIT
    )


def test_a_task_is_acknowledged_when_it_is_done():
    assert app.conf.accept_content == ["json"]
    assert (app.conf.task_acks_late, app.conf.task_reject_on_worker_lost) == (True, True)
    assert (app.conf.task_ignore_result, app.conf.worker_prefetch_multiplier) == (True, 1)
    assert all(
        "countdown" not in each.get("options", {})
        for each in settings.CELERY_BEAT_SCHEDULE.values()
    )


def test_one_message_among_two_hundred_that_ends_every_process_is_found_and_parked(workers, shop):
    """os._exit in the middle of a fold. The subscription finds it after a few processes, and the
    others go on meanwhile."""
    shop.stocked(1)
    skus = [f"{shop.sku}-{number}" for number in range(200)]
    bus.dispatch_all(
        ListProduct(sku, "DEADLY" if sku == skus[77] else "Tea", Money(500, "EUR")) for sku in skus
    )
    worker = workers(app="tests.workers.deadly")
    until(lambda: ProductView.objects.filter(sku__in=skus).count() == 199, seconds=60)
    letter = Parked.objects.get(status="dead")
    assert (letter.subscription, letter.key) == ("orders.catalogue", skus[77])
    assert letter.error.startswith("PoisonMessage")
    # However fast Celery puts others in their place: only a subscription that stood still for a
    # second is suspected of deaths.
    assert worker.log.read_bytes().count(b"Worker exited prematurely") <= 60
    all_are_confirmed_once(shop, [shop.place()])


def test_over_rabbitmq(workers, shop):
    """The same journey over the other broker, in a queue of its own."""
    queue = f"orders-test-{os.getpid()}"
    with server(rabbitmq) as started, Connection(started.address) as broker:
        environment = {"CELERY_BROKER_URL": started.address, "CELERY_QUEUE": queue}
        workers(environment=environment).until_it_is_ready()
        shop.stocked(100)
        all_are_confirmed_once(shop, [shop.place() for _ in range(20)])
        assert broker.default_channel.queue_declare(queue, passive=True).consumer_count == 1
