"""How deliveries are sent: leased, attempted again, in turn; nothing is lost and none is sent twice
at once."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventstore.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from eventstore.operations import webhooks as operators
from eventstore.postgres import execute
from eventstore.testing import drain
from eventstore.webhooks import deliveries, endpoints, upkeep
from eventstore.webhooks import sender as sender_
from eventstore.webhooks.schedule import Answer
from eventstore.webhooks.sender import Sender
from tests.eventstore.concurrently import in_thread, until, url_of_the_test

from .deliveries import age, counted, fill, make_due, states, statuses

pytestmark = pytest.mark.usefixtures("shop", "idle")
CONFIRMED, DETAILS = "orders.order_confirmed_integration", "orders.order_details"


@pytest.fixture
def hook(receiver, endpoint, customer, ada):
    """hook(answer, *types) -> a receiver with an endpoint of Ada's, its id and its secret."""

    def make(answer=None, *types):
        there = receiver(answer)
        id_, secret = endpoint(there.url, customer("ada"), *(types or (CONFIRMED,)))
        return there, id_, secret

    return make


def status(code, headers=None, body=b"-"):
    return lambda request, handler: (code, headers or {}, body)


def place(ada, count=1):
    for _ in range(count):
        ada.placed()
    drain()


def test_an_event_is_sent_signed_and_recorded(hook, ada, sender):
    there, id_, secret = hook(status(200, body=b"thanks"))
    order_id = ada.placed()
    drain()
    assert sender.send_due() == 1
    [request] = there.requests
    body = request.verified(secret)
    assert (body["type"], body["data"]["order_id"]) == (CONFIRMED, order_id)
    [attempt] = WebhookAttempt.objects.all()
    assert (attempt.number, attempt.status, attempt.response) == (1, 200, "thanks")
    assert str(attempt.delivery.message_id) == request.id
    assert statuses(id_) == ["delivered"]
    assert counted(id_).succeeded_at is not None
    assert sender.send_due() == 0


@pytest.mark.usefixtures("working")
def test_a_worker_sends_by_itself(hook, ada):
    there, id_, secret = hook()
    place(ada)
    assert statuses(id_) == ["delivered"]
    there.requests[0].verified(secret)


def test_a_failure_is_attempted_again_with_the_same_id_and_body(hook, ada, sender):
    answers = iter([status(500), status(404), lambda *_: None, status(204)])
    there, id_, secret = hook(lambda *about: next(answers)(*about))
    place(ada)
    for _ in range(4):
        assert statuses(id_) == ["waiting"]
        sender.send_due()
        make_due()
    assert statuses(id_) == ["delivered"]
    assert len({(each.id, each.body) for each in there.requests}) == 1
    assert len({each.verified(secret)["id"] for each in there.requests}) == 1
    tries = WebhookAttempt.objects.order_by("number").values_list("number", "status")
    assert list(tries) == [(1, 500), (2, 404), (3, None), (4, 204)]
    assert counted(id_).failures == 0


def test_a_failure_is_not_attempted_before_its_time(hook, ada, sender):
    there, id_, _ = hook(status(500))
    place(ada)
    sender.send_due()
    assert sender.send_due() == 0
    assert len(there.requests) == 1
    assert not deliveries.is_due()


def test_no_transaction_is_open_during_a_call(hook, ada):
    seen = []

    def post(url, headers, body):
        seen.append(in_thread(_open_transactions).result())
        return Answer(200, 0.0)

    hook()
    place(ada)
    Sender(post).send_due()
    assert seen == [0]


def _open_transactions():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            " AND backend_type = 'client backend'"
        )
        return cursor.fetchone()[0]


# --- Killed


def killed(seam):
    environment = {
        "DATABASE_URL": url_of_the_test(),
        "WEBHOOK_ALLOW_HTTP": "1",
        "WEBHOOK_PORTS": "*",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "EVENTSTORE_WAKE_WORKERS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.webhooks.killed", seam],
        env=os.environ | environment,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("seam", "calls"),
    [("+deliveries.claim", 0), ("-deliveries.settle", 1), ("+deliveries.settle", 1)],
    ids=["before the call", "before the record", "after the record"],
)
def test_a_sender_that_is_killed_loses_nothing(seam, calls, hook, ada, sender):
    there, id_, secret = hook()
    place(ada)
    killed(seam)
    assert len(there.requests) == calls
    recorded = seam == "+deliveries.settle"
    assert statuses(id_) == ["delivered" if recorded else "leased"]
    assert sender.send_due() == 0, "its lease holds"
    make_due()  # the lease ends
    sender.send_due()
    assert statuses(id_) == ["delivered"]
    assert len(there.requests) == (1 if recorded else calls + 1)
    assert len({each.id for each in there.requests}) == 1
    for each in there.requests:
        each.verified(secret)
    if not recorded:
        lost = WebhookAttempt.objects.get(number=1)
        assert (lost.status, "ended before" in lost.error) == (None, True)
    counted(id_)


def test_control_a_sender_that_records_first_loses_the_delivery(hook, ada, sender):
    """Why the answer is recorded after the call: at most once would lose it."""
    there, id_, _ = hook()
    place(ada)
    [claimed] = deliveries.claim(10)
    deliveries.settle([(claimed, Answer(200, 0.0))])  # the naive order; then it is killed
    make_due()
    sender.send_due()
    assert there.requests == []


def test_an_answer_after_another_took_over_is_ignored(hook, ada, sender):
    there, id_, _ = hook(status(500))
    place(ada)
    [frozen] = deliveries.claim(10)
    make_due()
    sender.send_due()
    assert deliveries.settle([(frozen, Answer(200, 0.0))]) == 0
    assert statuses(id_) == ["waiting"]
    assert counted(id_).succeeded_at is None


def test_two_senders_at_once_send_each_delivery_once(hook, ada):
    there, id_, _ = hook()
    place(ada, 8)
    gate = threading.Barrier(4)

    def send():
        gate.wait()
        return Sender().send_due()

    counts = [each.result(60) for each in [in_thread(send) for _ in range(4)]]
    assert sum(counts) + Sender().send_due() == 8
    assert len(there.requests) == len({each.id for each in there.requests}) == 8
    assert set(statuses(id_)) == {"delivered"}
    counted(id_)


def test_two_claims_in_one_moment_lease_a_delivery_once(hook, ada):
    """The second statement began before the first one committed."""
    hook()
    place(ada, 3)
    from django.db import transaction

    with transaction.atomic():
        mine = deliveries.claim(10)
        other = in_thread(lambda: deliveries.claim(10))
        assert other.result(30) == [], "the endpoint is locked, and skipped"
    assert len(mine) == 3
    assert deliveries.claim(10) == []


# --- Fairness


def test_a_slow_endpoint_holds_back_no_other(hook, ada, settings):
    settings.EVENTSTORE_WEBHOOK_TIMEOUT = 60.0
    settings.EVENTSTORE_WEBHOOK_CALLS = 6
    settings.EVENTSTORE_WEBHOOK_CALLS_PER_ENDPOINT = 4
    over = threading.Event()
    slow, slow_id, _ = hook(lambda *_: over.wait() and None)
    fast, fast_id, _ = hook()
    place(ada, 10)
    sender = Sender()
    sender.look()
    try:
        fast.wait_for(10)
        until(lambda: statuses(fast_id) == ["delivered"] * 10, seconds=30)
        assert len(slow.requests) == 4
        assert statuses(slow_id).count("leased") == 4
    finally:
        over.set()
        sender.stop()


def test_slow_endpoints_that_would_take_every_thread_hold_back_no_other(
    hook, ada, settings, monkeypatch
):
    """A call that takes too long no longer counts among those of the other endpoints."""
    monkeypatch.setattr(sender_, "SLOW_SECONDS", 0.2)
    settings.EVENTSTORE_WEBHOOK_TIMEOUT = 60.0
    settings.EVENTSTORE_WEBHOOK_CALLS = 4
    settings.EVENTSTORE_WEBHOOK_CALLS_PER_ENDPOINT = 2
    over = threading.Event()
    slow = [hook(lambda *_: over.wait() and None) for _ in range(3)]
    place(ada, 2)
    sender = Sender()
    sender.look()
    try:
        until(lambda: len(sender.slow) == 3, seconds=30)
        fast, fast_id, _ = hook()
        place(ada, 3)
        sender.look()
        until(lambda: statuses(fast_id) == ["delivered"] * 3, seconds=30)
        assert sum(len(there.requests) for there, _, _ in slow) == 4, "every thread that there was"
    finally:
        over.set()
        sender.stop()


def test_endpoints_that_are_known_to_be_slow_share_their_threads(hook, ada, settings):
    settings.EVENTSTORE_WEBHOOK_TIMEOUT = 60.0
    settings.EVENTSTORE_WEBHOOK_CALLS = 2
    over = threading.Event()
    slow = [hook(lambda *_: over.wait() and None) for _ in range(3)]
    fast, fast_id, _ = hook()
    place(ada, 3)
    sender = Sender()
    sender.slow.update((id_, None) for _, id_, _ in slow)
    sender.look()
    try:
        until(lambda: statuses(fast_id) == ["delivered"] * 3, seconds=30)
        until(lambda: sum(len(there.requests) for there, _, _ in slow) == 2)
    finally:
        over.set()
        sender.stop()


def test_an_endpoint_that_answers_quickly_again_is_no_longer_slow(hook, ada, sender, monkeypatch):
    monkeypatch.setattr(sender_, "SLOW_SECONDS", -1.0)
    _, id_, _ = hook()
    place(ada)
    sender.send_due()
    assert list(sender.slow) == [id_]
    monkeypatch.setattr(sender_, "SLOW_SECONDS", 60.0)
    place(ada)
    assert sender.send_due() == 1
    assert not sender.slow


def test_successes_of_one_moment_cost_as_many_statements_as_one(hook, ada, settings):
    settings.EVENTSTORE_WEBHOOK_CALLS_PER_ENDPOINT = 8
    _, id_, _ = hook()
    place(ada, 8)
    good = Answer(200, 0.1, response="ok")
    answers = [(each, good) for each in deliveries.claim(8)]
    with CaptureQueriesContext(connection) as one:
        assert deliveries.settle(answers[:1]) == 1
    with CaptureQueriesContext(connection) as seven:
        assert deliveries.settle(answers[1:]) == 7
    assert 0 < len(one) == len(seven) <= 4
    assert statuses(id_) == ["delivered"] * 8
    assert WebhookAttempt.objects.filter(response="ok").count() == 8
    counted(id_)


def test_a_failure_and_a_lost_lease_among_successes_have_their_turn(hook, ada):
    _, id_, _ = hook()
    place(ada, 4)
    first, second, third, fourth = deliveries.claim(4)
    good, bad = Answer(200, 0.1), Answer(500, 0.1, "HTTP 500.")
    lost = first._replace(attempt=9)
    assert deliveries.settle([(lost, good), (second, good), (third, bad)]) == 2
    assert statuses(id_) == ["leased", "delivered", "waiting", "leased"]
    assert counted(id_).failures == 1
    assert deliveries.settle([(fourth, bad), (first, good)]) == 2
    assert counted(id_).failures == 0


def test_control_without_a_limit_for_each_endpoint_a_slow_one_takes_every_thread(
    hook, ada, settings, monkeypatch
):
    monkeypatch.setattr(sender_, "SLOW_SECONDS", 3600.0)
    settings.EVENTSTORE_WEBHOOK_TIMEOUT = 60.0
    settings.EVENTSTORE_WEBHOOK_CALLS = settings.EVENTSTORE_WEBHOOK_CALLS_PER_ENDPOINT = 4
    over = threading.Event()
    slow, _, _ = hook(lambda *_: over.wait() and None)
    place(ada, 5)
    sender = Sender()
    sender.look()
    try:
        slow.wait_for(4)
        fast, _, _ = hook()
        place(ada)
        assert len(sender.calls) == 4, "no thread is free"
        assert fast.requests == []
        over.set()
        fast.wait_for(1)
    finally:
        over.set()
        sender.stop()


def test_endpoints_take_turns(hook, ada, settings):
    settings.EVENTSTORE_WEBHOOK_CALLS_PER_ENDPOINT = 100
    ids = [hook()[1] for _ in range(3)]
    place(ada, 4)
    served = [{each.endpoint for each in deliveries.claim(2)} for _ in range(3)]
    assert all(len(each) == 2 for each in served)
    assert set().union(*served) == set(ids)


def test_an_endpoint_that_fails_gets_one_call_at_a_time_and_rests(hook, ada, sender):
    there, id_, _ = hook(status(500))
    place(ada, 9)
    sender.send_due()
    begun = len(there.requests)
    assert begun < 9, "it rests"
    assert counted(id_).failures == begun
    execute("UPDATE eventstore_webhook_endpoint SET rest_until = now()").close()
    assert len(deliveries.claim(10)) == 1


def test_deliveries_of_one_order_wait_for_their_turn(hook, ada, settings):
    hook(None, endpoints.ALL_TYPES)
    place(ada)
    first = deliveries.claim(100)
    keys = [WebhookDelivery.objects.get(pk=each.id).key for each in first]
    assert len(keys) == len(set(keys)), "one of each stream"


def test_a_delivery_that_failed_does_not_hold_back_later_ones_of_its_order(hook, ada, sender):
    def answer(request, handler):
        return (500 if first(request.id) else 200), {}, b""

    def first(id_):
        return id_ == there.requests[0].id

    there, id_, _ = hook(answer, DETAILS)
    place(ada)
    sender.send_due()
    assert statuses(id_) == ["waiting", "delivered"]


# --- What endpoints answer


def test_410_disables_at_once(hook, ada, sender):
    there, id_, _ = hook(status(410))
    place(ada, 3)
    sender.send_due(limit=1)
    found = counted(id_)
    assert (found.status, found.disabled_reason) == ("disabled", "gone")
    make_due()
    assert sender.send_due() == 0
    place(ada)
    assert len(states(id_)) == 3, "nothing more waits"


def test_429_with_retry_after_holds_back_the_whole_endpoint(hook, ada, sender):
    there, id_, _ = hook(status(429, {"Retry-After": "3600"}))
    place(ada, 3)
    sender.send_due(limit=1)
    assert len(there.requests) == 1
    [(rest, due)] = _seconds(id_)
    assert 3500 < rest <= 3600
    assert 3500 < due <= 3600
    assert sender.send_due() == 0


def _seconds(endpoint):
    """Until the endpoint may be called, and until its attempted delivery is due."""
    from eventstore.postgres import rows

    return rows(
        "SELECT extract(epoch FROM rest_until - now())::float,"
        " extract(epoch FROM max(due_at) - now())::float"
        " FROM eventstore_webhook_endpoint AS endpoint"
        " JOIN eventstore_webhook_delivery AS delivery ON endpoint_id = endpoint.id"
        " WHERE endpoint.id = %s GROUP BY rest_until",
        [endpoint],
    )


def test_after_a_day_a_delivery_is_given_up_and_the_next_one_is_not(hook, ada, sender):
    there, id_, _ = hook(status(500))
    place(ada)
    age("delivery", "until", 1)
    sender.send_due()
    assert statuses(id_) == ["failed"]
    place(ada)
    make_due()
    assert statuses(id_) == ["failed", "waiting"]
    counted(id_)


def test_an_endpoint_that_fails_for_days_is_disabled_and_its_owner_gets_a_mail(
    hook, ada, sender, mailoutbox
):
    from django.contrib.auth.models import User

    User.objects.filter(username="ada").update(email="ada@example.com")
    there, id_, _ = hook(status(503))
    place(ada)
    for _ in range(6):
        sender.send_due()
        make_due()
    assert counted(id_).status == "enabled", "not for a few failures"
    upkeep.tend()
    assert mailoutbox == []
    age("endpoint", "failing_since", 4)
    sender.send_due()
    found = counted(id_)
    assert (found.status, found.disabled_reason) == ("disabled", "failing")
    for _ in range(2):
        upkeep.tend()
    [mail] = mailoutbox
    assert mail.to == ["ada@example.com"]
    assert str(id_) in mail.body
    assert "HTTP 503" in mail.body


def test_control_a_success_in_between_keeps_it_enabled(hook, ada, sender):
    answers = iter([status(503)] * 6 + [status(200)] + [status(503)] * 10)
    there, id_, _ = hook(lambda *about: next(answers)(*about))
    place(ada)
    for _ in range(6):
        sender.send_due()
        make_due()
    age("endpoint", "failing_since", 4)
    sender.send_due()
    place(ada)
    for _ in range(7):
        make_due()
        sender.send_due()
    assert counted(id_).status == "enabled"


def test_a_mail_that_fails_is_tried_again(hook, ada, sender, mailoutbox, settings, monkeypatch):
    from django.contrib.auth.models import User
    from django.core.mail.backends.locmem import EmailBackend

    User.objects.filter(username="ada").update(email="ada@example.com")
    hook(status(410))
    place(ada)
    sender.send_due()
    with monkeypatch.context() as patch:

        def refuse(self, messages):
            raise ConnectionRefusedError

        patch.setattr(EmailBackend, "send_messages", refuse)
        assert upkeep.tell_owners() == 0
    assert upkeep.tell_owners() == 1
    assert len(mailoutbox) == 1


def test_an_endpoint_that_is_enabled_again_gets_what_waits(hook, ada, sender):
    there, id_, _ = hook()
    place(ada)
    endpoints.disable(id_, endpoints.BY_OWNER)
    assert sender.send_due() == 0
    place(ada)
    endpoints.enable(id_)
    sender.send_due()
    assert statuses(id_) == ["delivered"], "what came meanwhile is not sent"
    place(ada)
    sender.send_due()
    assert statuses(id_) == ["delivered"] * 2


def test_deliveries_of_a_disabled_endpoint_are_given_up_in_the_end(hook, ada):
    there, id_, _ = hook()
    place(ada, 2)
    endpoints.disable(id_, endpoints.BY_OWNER)
    upkeep.tend()
    assert statuses(id_) == ["waiting"] * 2
    age("delivery", "until", 2)
    upkeep.tend()
    assert statuses(id_) == ["failed"] * 2
    assert counted(id_).queued == 0


def test_during_a_rotation_the_receiver_may_use_either_secret(hook, ada, sender):
    there, id_, old = hook()
    endpoints.rotate(id_)
    new = endpoints.secret_of(endpoints.find(id_))
    assert new != old
    place(ada)
    sender.send_due()
    for secret in (old, new):
        there.requests[0].verified(secret)
    age("endpoint", "former_until", 2)
    place(ada)
    sender.send_due()
    there.requests[1].verified(new)
    assert there.requests[1].headers["webhook-signature"].count("v1,") == 1


def test_without_its_key_an_endpoint_is_not_called(hook, ada, sender, settings):
    there, id_, _ = hook()
    place(ada)
    settings.EVENTSTORE_WEBHOOK_KEYS = ["another"]
    sender.send_due()
    assert there.requests == []
    assert statuses(id_) == ["waiting"]
    assert "could not sign" in counted(id_).last_error


# --- By hand


def test_a_delivery_can_be_sent_again(hook, ada, sender):
    there, id_, secret = hook()
    place(ada)
    sender.send_due()
    [delivery] = WebhookDelivery.objects.all()
    deliveries.send_again(id_, delivery.pk)
    counted(id_)
    sender.send_due()
    assert len(there.requests) == 2
    assert len({each.id for each in there.requests}) == 1
    assert statuses(id_) == ["delivered"]
    assert WebhookAttempt.objects.count() == 2
    counted(id_)


def test_a_failed_delivery_that_is_sent_again_has_the_whole_schedule_again(hook, ada, sender):
    there, id_, _ = hook(status(500))
    place(ada)
    age("delivery", "until", 1)
    sender.send_due()
    [delivery] = WebhookDelivery.objects.all()
    operators.send_again(id_, delivery.pk, who="grace", reason="repaired")
    sender.send_due()
    assert statuses(id_) == ["waiting"]
    assert counted(id_).queued == 1


def test_failed_deliveries_can_be_sent_again_together(hook, ada, sender):
    there, id_, _ = hook(status(500))
    place(ada, 3)
    age("delivery", "until", 1)
    for _ in range(3):
        make_due()
        sender.send_due()
    assert statuses(id_) == ["failed"] * 3
    there.answer = status(200)
    since = WebhookDelivery.objects.order_by("created_at").first().created_at
    assert deliveries.send_failed_again(id_, since) == 3
    make_due()
    sender.send_due()
    assert statuses(id_) == ["delivered"] * 3
    counted(id_)


def test_nothing_is_sent_again_to_a_disabled_or_a_full_endpoint(hook, ada, sender, settings):
    there, id_, _ = hook()
    place(ada, 2)
    sender.send_due()
    first, second = WebhookDelivery.objects.order_by("id")
    endpoints.disable(id_, endpoints.BY_OWNER)
    with pytest.raises(endpoints.EndpointDisabled):
        deliveries.send_again(id_, first.pk)
    endpoints.enable(id_)
    settings.EVENTSTORE_WEBHOOK_QUEUE_BYTES = 1
    deliveries.send_again(id_, first.pk)
    with pytest.raises(deliveries.QueueFull):
        deliveries.send_again(id_, second.pk)
    assert statuses(id_) == ["waiting", "delivered"]
    counted(id_)


# --- Old deliveries


def test_old_deliveries_are_deleted(hook, ada, sender):
    there, id_, _ = hook()
    place(ada)
    sender.send_due()
    upkeep.tend()
    assert states(id_) == [(CONFIRMED, "delivered")]
    age("delivery", "ended_at", 20)
    age("message", "created_at", 20)
    upkeep.tend()
    assert states(id_) == []
    assert _left() == (0, 0, 0)


def test_a_deleted_endpoint_leaves_nothing(hook, ada, sender):
    there, id_, _ = hook()
    place(ada, 2)
    sender.send_due(limit=1)
    endpoints.delete(id_)
    assert endpoints.find(id_) is None
    make_due()
    assert sender.send_due() == 0
    age("endpoint", "disabled_at", 1)
    age("message", "created_at", 20)
    upkeep.tend()
    assert _left() == (0, 0, 0)
    assert not WebhookEndpoint.objects.exists()


def _left():
    from eventstore.models import WebhookMessage

    return (
        WebhookAttempt.objects.count(),
        WebhookDelivery.objects.count(),
        WebhookMessage.objects.count(),
    )


def test_a_message_is_kept_while_a_delivery_needs_it(hook, ada):
    there, id_, _ = hook()
    ada.placed()
    drain()
    fill()
    age("message", "created_at", 20)
    upkeep.tend()
    assert statuses(id_) == ["waiting"]
