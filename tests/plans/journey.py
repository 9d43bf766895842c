"""A day in the shop: orders by API, their failures, what people do by hand, all pages, all
chores."""

import io
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import uuid4

from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from access import accounts
from access.authorization import OPERATIONS, SUPPORT
from config.api import sockets
from eventstore import log, sagas
from eventstore.commands import bus, deferred, idempotency, inbox, repository, snapshots
from eventstore.delivery import heartbeats, poison, worker
from eventstore.effects import leases
from eventstore.live import tail
from eventstore.live.feed import Holding
from eventstore.log import fence_monitor
from eventstore.messages import BrokerMessage
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Partition, Range
from eventstore.models import Parked, Rebuild, Sample, Subscription
from eventstore.money import Money
from eventstore.operations import control, dead_letters, lag
from eventstore.outbox import cursors, parked, received
from eventstore.postgres import execute
from eventstore.projections import fold, freshness, rebuild
from eventstore.projections.rebuild import fold as shadow_fold
from eventstore.projections.rebuild import records
from eventstore.schemas.registry import documents, service
from eventstore.testing import drain
from eventstore.webhooks import deliveries, endpoints, overview, sender, upkeep
from eventstore.webhooks.endpoints import Form
from eventstore.webhooks.schedule import Answer
from inventory.commands import ReceiveStock
from inventory.events import StockReceived
from orders.api import live as following
from orders.commands import IssueCredit, ListProduct
from orders.events import OrderLine
from orders.models import OrderDetails
from tests.admin.everything import everywhere
from tests.api.conftest import ADDRESS, Api

PERIOD = timedelta(days=30)
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
ORDERS = "/api/commands/orders/"
# A consumer that no wiring has: only what its reader stores is looked at.
READER = "plans.reader"
QUEUE = Partition(READER, 0)
SOLD = {"items": [{"sku": "CUP", "quantity": 1}], "address": ADDRESS, "payment_method": "tok_visa"}


class People:
    def __init__(self):
        self.ada, self.operator, self.support = (Api(_user(*who)) for who in WHO)
        self.staff = Client()
        self.staff.force_login(User.objects.create_superuser("root", "root@example.com", "root"))


WHO = (("ada", None), ("otto", OPERATIONS), ("susi", SUPPORT))


def _known(name):
    """As whoever authenticates says whose the orders are."""
    user = User.objects.get(username=name)
    user.customer_id = accounts.customer_id_of(user)
    return user


def _user(name, role):
    user = User.objects.create(username=name)
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


def story():
    """One of everything, for the tables to be filled with more like it; who it happened to."""
    people = People()
    bus.dispatch_all([ListProduct("CUP", "A cup", Money(450, "EUR")), ReceiveStock("CUP", 100_000)])
    drain()
    order_id = people.ada.placed()
    drain()
    answer = people.ada.post(
        f"{ORDERS}{order_id}/returns/", {"lines": [{"number": 1, "quantity": 1}], "reason": "-"}
    )
    assert answer.status_code == 202, answer.content
    line = OrderLine("CUP", "A cup", 1, 450)
    bus.dispatch(
        IssueCredit(str(uuid4()), "customer-1", (line,), (), "EUR", 2, "C1", datetime.now(UTC))
    )
    people.ada.post(ORDERS, SOLD, **{"Idempotency-Key": "a"})
    people.ada.post(ORDERS, SOLD, Prefer="respond-async")
    drain()
    inbox.receive("somebody", "1")
    intake.begin(READER, [QUEUE])
    intake.store_from_queue(READER, QUEUE, [_sent("known", 1), _sent("known", 3, 2)])
    rebuild.rebuild("orders.catalogue", who="grace")
    endpoint = uuid4()
    form = Form("https://127.0.0.1/", ["*"])
    endpoints.register(endpoint, people.ada.customer_id, form, is_for_all=False)
    people.ada.placed()
    drain()
    endpoints.disable(endpoint, endpoints.BY_OWNER)
    worker.housekeep()
    return people


def live(people):
    """All that the product does, once or a few times."""
    _orders(people)
    _failures(people)
    _by_hand()
    _processes(people)
    _webhooks(people)
    _reading(people)
    _rebuilding()
    _by_themselves()
    _from_brokers()
    _registry()
    _chores()
    for address in everywhere().values():
        answer = people.staff.get(address)
        assert answer.status_code in (200, 302, 403), (address, answer.status_code)
        b"".join(answer.streaming_content) if answer.streaming else answer.content


def _orders(people):
    ada = people.ada
    placed = [ada.placed() for _ in range(4)]
    assert (
        ada.post(
            f"{ORDERS}{placed[3]}/cancel/", {"reason": "-"}, **{"Idempotency-Key": "d"}
        ).status_code
        == 202
    )
    for _ in range(2):
        answer = ada.post(ORDERS, SOLD, **{"Idempotency-Key": "b"})
        assert answer.status_code == 202, answer.content
    left_behind = ada.post(ORDERS, SOLD, Prefer="respond-async")
    ada.get(left_behind["Location"])
    ada.get(f"/api/queries/orders/{placed[0]}/", Prefer="wait=1")
    drain()
    ada.get(left_behind["Location"])
    back = {"lines": [{"number": 1, "quantity": 1}], "reason": "too small"}
    returned = ada.post(f"{ORDERS}{placed[2]}/returns/", back).json()["return_id"]
    drain()
    people.operator.post(f"/api/commands/returns/{returned}/receive/", {})
    drain()
    log.append("stock-CUP", [StockReceived("CUP", 1)], expected=log.ANY)
    open_, read = (log.ANY, [StockReceived("CUP", 1)]), (log.STREAM_EXISTS, [])
    log.append_all({"stock-CUP": open_, "stock-LONG": read})
    for _ in range(2):
        ada.post(f"{ORDERS}{placed[1]}/cancel/", {"reason": "twice"}, **{"Idempotency-Key": "c"})
        inbox.receive("somebody", "2")
    for one in (placed[0], placed[1]):
        for path in (f"orders/{one}/", f"orders/{one}/history/", f"orders/{one}/returns/"):
            ada.get(f"/api/queries/{path}")
    for path in (
        "orders/",
        "orders/?status=CONFIRMED",
        "orders/?customer=ada",
        "returns/",
        "products/",
        "payments/",
    ):
        people.support.get(f"/api/queries/{path}")
        people.operator.get(f"/api/queries/{path}")
    for path in (
        "payments/?status=COMPLETED",
        "shipments/?status=CREATED",
        "shipments/",
        "stock/",
        "bookings/",
        "bookings/?exceptions=1",
    ):
        people.operator.get(f"/api/queries/{path}")
    ada.get("/api/queries/orders/")
    ada.get("/api/queries/returns/")


def _failures(people):
    """Calls that get no answer, messages that fail, and workers that died in the middle."""
    for method in ("tok_timeout", "tok_declined", "tok_late"):
        people.ada.placed(payment_method=method)
    people.ada.placed(address=ADDRESS | {"postcode": "LATE"})
    drain()
    waiting = list(
        Parked.objects.filter(subscription="payments.gateway").exclude(key__startswith="filled")
    )
    for each in waiting:
        parked.held(each.subscription, [each.key])
    parked.defer("payments.gateway", 0.0)
    with poison.marking("payments.gateway") as markers:
        markers.begin(1)
    many = range(2_000_000_000, 2_000_000_256)
    with transaction.atomic():
        parked.park(
            "payments.gateway",
            [parked.ParkedMessage(each, key=f"key-{each % 128}", delay=0.0) for each in many],
        )
        parked.lease("payments.gateway", list(many), timedelta(seconds=10))
        held = [
            leases.Lease("payments.gateway", each, 1, taken_at=0.0, longest=timedelta(days=9))
            for each in many
        ]
    for each in held:
        each.end = float("inf")
    leases.renew(held)
    parked.postpone(
        "payments.gateway", [parked.ParkedMessage(each, token=1, delay=1.0) for each in many[:100]]
    )
    assert len(parked.settle("payments.gateway", dict.fromkeys(many, 1))) > 100
    Parked.objects.filter(position__gte=2_000_000_000).delete()


def _by_hand():
    name, key = "orders.details", "by hand"
    # One of those that fill the table may be at the same place.
    taken = set(Parked.objects.filter(subscription=name).values_list("position", flat=True))
    free = (each.position for each in log.read_log(after=0) if each.position not in taken)
    first = list(islice(free, 3))
    with transaction.atomic():
        parked.park(
            name,
            [parked.ParkedMessage(each, key=key, status="dead", attempts=12) for each in first[:1]],
        )
        parked.park(name, [parked.ParkedMessage(each, key=key) for each in first[1:]])
    letters = dead_letters.letters(subscription=name, key=key)
    dead_letters.message_of(letters[0])
    dead_letters.letters(limit=100)
    dead_letters.retry(name, first[:1], who="grace")
    with suppress(dead_letters.NotParked):
        dead_letters.discard(name, first[:2], who="grace", reason="because")
    control.skip(name, first[2], who="grace", reason="because")
    control.pause(name, who="grace")
    control.resume(name, who="grace")
    with suppress(control.OperationRefused):
        control.skip(name, 1, who="grace", reason="because")
    _said("dead_letters", "list", name)
    _said("subscriptions", "list")
    drain()


def _processes(people):
    _said("sagas", "list", "--limit", "100")
    order_id = people.ada.placed(payment_method="tok_timeout")
    drain()
    _said("dossier", order_id)
    _said("stream_state", f"order-{order_id}")


def _webhooks(people):
    """An endpoint that nothing answers: queued, sent, sent again, given up, forgotten."""
    kept, gone = uuid4(), uuid4()
    form = Form("https://127.0.0.1/", ["*"])
    for id_ in (kept, gone):
        endpoints.register(id_, people.ada.customer_id, form, is_for_all=False)
    endpoints.change(kept, form)
    endpoints.rotate(kept)
    people.ada.placed()
    drain()
    sender.this_process.stop()
    execute("UPDATE eventstore_webhook_endpoint SET rest_until = now()").close()
    due = "UPDATE eventstore_webhook_delivery SET due_at = now() WHERE status = 'waiting'"
    execute(due).close()
    assert deliveries.is_due()
    first, second, *_ = deliveries.claim(10)
    deliveries.settle([(first, Answer(200, 0.1)), (second, Answer(410, 0.1))])
    for id_ in (kept, gone):
        endpoints.enable(id_)
    deliveries.send_again(first.endpoint, first.id)
    deliveries.send_failed_again(second.endpoint, EPOCH)
    execute("UPDATE eventstore_webhook_delivery SET until = until - interval '9 days'").close()
    endpoints.disable(gone, endpoints.GONE)
    upkeep.tend()
    endpoints.delete(gone)
    overview.counts(), overview.late(timedelta(0)), overview.disabled(PERIOD), overview.unsignable()
    for path in ("", f"{kept}/", f"{kept}/deliveries/", f"{kept}/deliveries/?status=failed"):
        people.ada.get(f"/api/queries/webhooks/{path}")


def _reading(people):
    order_id = people.ada.placed()
    stream = f"order-{order_id}"
    (message,) = log.read_stream(stream)
    list(islice(log.read_backwards(stream), 5))
    list(islice(log.read_backwards("stock-LONG"), 300))
    list(islice(log.read_stream("stock-LONG"), 300))
    list(islice(log.read_log(after=message.position - 500), 600))
    list(islice(log.read_log(types=["orders.return_requested", "orders.order_placed"]), 600))
    list(islice(log.read_category("shipment"), 300))
    list(log.read_correlated(message.metadata.correlation_id))
    list(islice(log.read_log_backwards(), 300))
    list(islice(log.read_category_backwards("shipment"), 300))
    log.read_event(message.id)
    log.read_last(stream)
    log.positions_at({stream: 1, "stock-LONG": 250})
    followed = following.orders(_known("ada"), position=0)
    list(islice(followed.history(0, log.fence()), 3))
    one = following.order(_known("ada"), order_id, version=0, position=0)
    list(islice(one.history(0, log.fence()), 3))
    tail._next(sockets.FEED, log.fence() - 5, True)
    sockets.still_held([Holding("nobody's", topic) for topic in ("orders", "masked order 1")])
    freshness.last_given()
    freshness.recorded(OrderDetails, order_id)
    freshness.as_of(OrderDetails, order_id, version=1)
    Subscription.objects.filter(name=cursors.SNAPSHOTS).update(position=0)
    for number in range(5):
        bus.dispatch(ListProduct("CUP", "A cup", Money(451 + number, "EUR")))
    repository.take_snapshots()
    Subscription.objects.filter(name=cursors.CLEARED).update(position=message.position)
    Subscription.objects.filter(name="orders.details").update(position=message.position - 5)
    drain()
    Subscription.objects.filter(name=cursors.CLEARED).update(position=0)


def _by_themselves():
    """What no event of the shop brings about."""
    idempotency.find(idempotency.IdempotencyKey("somebody who never asked", ""))
    with transaction.atomic():
        sagas.tell_deadlines()
        for module in (fold, shadow_fold):
            execute(
                module.DELETE.format(table="orders_return", key="return_id"), [["nobody's"]]
            ).close()
        stream = "product-CUP"
        repository.forget()
        snapshots.save({stream: repository.load_one(stream)})
        snapshots.load([stream])
        snapshots.passed_milestones(after=0, until=log.fence())
        records.found_differences(Rebuild.objects.latest("id").id)


def _rebuilding():
    rebuild.request("orders.returns", who="grace", swap=False)
    rebuild.work(seconds=60.0)
    list(rebuild.differences("orders.returns"))
    rebuild.request_comparison("orders.returns", who="grace")
    rebuild.work(seconds=60.0)
    rebuild.request_swap("orders.returns", who="grace")
    rebuild.work(seconds=60.0)
    rebuild.roll_back("orders.returns", who="grace", reason="because")
    rebuild.forget("orders.returns", who="grace")
    rebuild.request("orders.returns", who="grace")
    rebuild.cancel("orders.returns", who="grace")


def _from_brokers():
    """What a reader stores, in order and too early, and what people see and do of it."""
    partition, stream = Partition("events.plans", 0), str(uuid4())
    start = intake.begin(READER, [partition])[partition]
    early = [_sent(stream, 1), _sent(stream, 3, 2)]
    intake.store(READER, early, {partition: Range(start, start + 5)})
    intake.store_from_queue(READER, QUEUE, [_sent(stream, 2, 1), _sent(stream, 9, 8)])
    intake.release_overdue(READER)
    assert not cursors.is_far_behind(READER, 10)
    intake.report_hole(READER, partition, start + 9)
    with transaction.atomic():
        intake.seek(READER, partition, intake.begun(READER, partition))
    assert intake.offsets()
    parked.mark_copied("shipping", [each.position for each in parked.uncopied("shipping", 10)])


def _registry():
    """What clients of the schema registry do."""
    money = documents.read('{"type":"record","name":"Money","fields":[]}')
    price = documents.read(
        '{"type":"record","name":"Price","fields":[{"name":"of","type":"Money"}]}',
        references=(documents.Reference("Money", "plans.money", 1),),
    )
    id_ = service.register("plans.money", money).stored.id
    service.register("plans.prices", price)
    service.by_guid(service.by_id(id_).guid)
    service.look_up("plans.prices", price)
    assert service.uses(id_) == [("plans.money", 1)]
    assert "plans.money" in service.subjects("plans.")
    assert service.schemas("plans.", latest=True)
    assert service.versions("plans.money") == [1]
    service.referring("plans.money", "1")
    service.set_compatibility("plans.prices", "FULL")
    service.set_mode("plans.prices", "READWRITE")
    for permanent in (False, True):
        service.delete_subject("plans.prices", permanent=permanent)


def _sent(stream, sequence, previous=0):
    headers = {
        "ce_id": str(uuid4()),
        "ce_source": "urn:them",
        "ce_stream": stream,
        "ce_sequence": str(sequence),
        "ce_previoussequence": str(previous),
    }
    pairs = tuple((name.encode(), text.encode()) for name, text in headers.items())
    return BrokerMessage("kafka", "events.plans", stream.encode(), b"{}", pairs)


def _chores():
    Sample.objects.filter(slot__gte=time.time() // 30).delete()
    worker.housekeep()
    heartbeats.forget_own()
    cursors.clear(retention=PERIOD)
    cursors.clear(retention=timedelta(0), limit=100)
    idempotency.forget(older_than=PERIOD)
    received.forget(older_than=PERIOD)
    deferred.forget(older_than=PERIOD)
    lag.lags()
    fence_monitor.warn_about_blockers()
    control.pause("shipping", who="grace")
    _said("doctor")
    control.resume("shipping", who="grace")
    _said("schemas", "--store", "--sample", "10")
    _said("app_role", "somebody")
    _said("overview")


def _said(*words):
    out = io.StringIO()
    with suppress(SystemExit, CommandError):
        call_command(*words, stdout=out)
    return out.getvalue()
