"""Webhooks of providers: only with a valid signature, and once."""

import hashlib
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import stripe
from django.db import connections
from standardwebhooks import Webhook

from eventstore.models import Event, OutboxMessage, Received, SagaState
from eventstore.testing import drain
from payments.gateway import factory as chosen
from payments.models import PaymentView
from shipping.models import ShipmentView

from ..payments.test_gateways import Bank
from .conftest import Api, problem

STRIPE = "/api/webhooks/payments/stripe/"
CARRIER = "/api/webhooks/shipping/"
SECRET, OTHER = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw==", "whsec_YW5vdGhlci1vbmUtb2YtdGhlbQ=="


# NUL and other control characters, an empty one, and one that is too long for an index.
UNUSABLE = ["evt\0", "evt\n1", "", "é" * 256, "x" * 100_000]


def repr_of_the_beginning(text):
    return repr(text[:5])


@pytest.fixture(autouse=True)
def _secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    settings.CARRIER_WEBHOOK_SECRETS = [SECRET]


@pytest.fixture
def unanswered(shop, person):
    """An order whose payment is in progress: the sandbox has not responded."""
    order_id = person("ada").placed(payment_method="tok_timeout")
    drain()
    return order_id


def requested(order_id, type_="payments.payment_requested"):
    return Event.objects.get(stream=f"payment-{order_id}", type=type_)


def intent(order_id, status="succeeded", **changes):
    event = requested(order_id)
    amount = event.data["amount"]["amount"]
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": amount,
        "amount_received": amount if status == "succeeded" else 0,
        "currency": event.data["amount"]["currency"].lower(),
        "status": status,
        "metadata": {"key": str(event.id), "order_id": order_id},
        "last_payment_error": {"decline_code": "generic_decline"}
        if status == "requires_payment_method"
        else None,
    } | changes


def refund(order_id, **changes):
    event = requested(order_id, "payments.refund_requested")
    return {
        "id": "re_1",
        "object": "refund",
        "amount": event.data["amount"]["amount"],
        "currency": event.data["amount"]["currency"].lower(),
        "status": "succeeded",
        "metadata": {"key": str(event.id), "order_id": order_id},
    } | changes


def notice(object_, type_="payment_intent.succeeded", id_="evt_1"):
    return json.dumps(
        {"id": id_, "object": "event", "type": type_, "data": {"object": object_}}
    ).encode()


def signed(body, *, secret=SECRET, at=None):
    at = at or int(time.time())
    made = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256).hexdigest()
    header = f"t={at},v1={made}"
    return Api().post(STRIPE, body, **{"Stripe-Signature": header})


def payment(order_id):
    drain()
    return PaymentView.objects.get(pk=order_id).status


class TestStripe:
    def test_a_payment_that_went_through_is_completed_without_an_answer_to_the_call(
        self, unanswered
    ):
        assert signed(notice(intent(unanswered))).json() == {"received": "evt_1", "repeat": False}
        assert payment(unanswered) == "COMPLETED"

    def test_one_that_failed_fails(self, unanswered):
        object_ = intent(unanswered, "requires_payment_method")
        signed(notice(object_, "payment_intent.payment_failed"))
        assert payment(unanswered) == "FAILED"
        assert PaymentView.objects.get(pk=unanswered).reason == "generic_decline"

    def test_one_that_is_still_under_way_is_waited_for(self, unanswered):
        assert (
            signed(
                notice(intent(unanswered, "processing"), "payment_intent.processing")
            ).status_code
            == 200
        )
        assert payment(unanswered) == "REQUESTED"

    def test_after_the_answer_to_the_call_it_changes_nothing(self, shop, person):
        order_id = person("ada").placed()
        drain()
        before = Event.objects.count()
        signed(notice(intent(order_id)))
        assert payment(order_id) == "COMPLETED"
        assert Event.objects.count() == before

    @pytest.mark.parametrize("type_", ["refund.updated", "charge.refunded"])
    def test_a_refund_that_went_through_is_completed(self, unanswered, support, type_):
        signed(notice(intent(unanswered), id_="evt_1"))
        assert payment(unanswered) == "COMPLETED"
        support.post(f"/api/commands/payments/{unanswered}/refund/", {"reason": "goodwill"})
        assert payment(unanswered) == "REFUNDING"
        object_ = refund(unanswered)
        if type_ == "charge.refunded":
            object_ = {"object": "charge", "refunds": {"data": [object_]}}
        signed(notice(object_, type_, id_="evt_2"))
        assert payment(unanswered) == "REFUNDED"

    @pytest.mark.parametrize(
        "wrong",
        [{"amount": 1}, {"amount_received": 1}, {"currency": "xts"}, {"status": "unheard_of"}],
    )
    def test_what_does_not_fit_what_was_asked_is_not_taken_for_an_answer(self, unanswered, wrong):
        assert signed(notice(intent(unanswered, **wrong))).status_code == 200
        assert payment(unanswered) == "REQUESTED"

    @pytest.mark.parametrize(
        "metadata",
        [{}, None, {"key": "another", "order_id": "nobody"}, {"key": 7, "order_id": "\x00"}],
    )
    def test_what_is_not_ours_is_taken_note_of(self, unanswered, metadata):
        assert signed(notice(intent(unanswered, metadata=metadata))).status_code == 200
        assert payment(unanswered) == "REQUESTED"

    @pytest.mark.parametrize(
        "body",
        [
            b"[]",
            b"{}",
            b'{"id": 7, "type": "charge.", "data": {"object": {"id": "x"}}}',
            b'{"id": "evt_1", "type": "charge.", "data": {"object": '
            + b"[" * 2000
            + b"]" * 2000
            + b"}}",
            b'{"id": "evt_1", "type": "\\ud800", "data": {"object": {"id": "x"}}}',
            b"not json",
            b"\xff",
        ],
        ids=range(7),
    )
    def test_what_is_signed_and_makes_no_sense_is_refused_as_such(self, shop, body):
        problem(signed(body), 400)

    @pytest.mark.parametrize(
        ("body", "fault"),
        [
            (b"[]", ("#", "Expected an object, got an array.")),
            (b'{"id": "e", "data": {"object": {"a": 1}}}', ("#/type", "This field is required.")),
            (
                b'{"id": "e", "type": "charge.", "data": {}}',
                ("#/data/object", "This field is required."),
            ),
            (
                b'{"id": 7, "type": "charge.", "data": {"object": {"a": 1}}}',
                ("#/id", "Expected a string, got an integer."),
            ),
            (
                b'{"id": "e", "type": "charge.", "data": {"object": []}}',
                ("#/data/object", "Expected an object, got an array."),
            ),
            (
                b'{"id": "e", "type": "\\ud800", "data": {"object": {"a": 1}}}',
                ("#/type", "Lone surrogates are not allowed."),
            ),
            (b"\xff", ("#", "Invalid JSON in UTF-8: byte 0 is not valid UTF-8")),
        ],
        ids=range(7),
    )
    def test_a_problem_names_the_member(self, shop, body, fault):
        [found] = problem(signed(body), 400)["errors"]
        assert (found["pointer"], found["detail"]) == fault

    @pytest.mark.parametrize("id_", UNUSABLE, ids=repr_of_the_beginning)
    def test_an_id_that_cannot_be_kept_is_refused_and_nothing_follows(self, unanswered, id_):
        problem(signed(notice(intent(unanswered), id_=id_)), 400)
        assert payment(unanswered) == "REQUESTED"
        assert not Received.objects.exists()

    @pytest.mark.parametrize(
        "data", [{}, {"object": {}}, {"object": None}, {"previous_attributes": {}}]
    )
    def test_an_event_without_its_object_is_refused_and_does_not_use_up_its_id(
        self, unanswered, data
    ):
        body = json.dumps(
            {"id": "evt_1", "type": "payment_intent.succeeded", "data": data}
        ).encode()
        problem(signed(body), 400, "Malformed")
        assert signed(notice(intent(unanswered))).json() == {"received": "evt_1", "repeat": False}
        assert payment(unanswered) == "COMPLETED"

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": ["succeeded"]},
            {"status": "requires_payment_method", "last_payment_error": "no"},
            {
                "status": "requires_payment_method",
                "last_payment_error": {"decline_code": {"a": "b\0"}},
            },
            {"object": "dispute", "status": ["lost"], "payment_intent": "pi_1"},
            {"object": "dispute", "status": {}, "payment_intent": "pi_1\0"},
            {"object": "refund", "metadata": {}, "payment_intent": "pi_1\0", "id": "re\0"},
            {"amount": 10**19},
            {"metadata": {"key": "x" * 5000, "order_id": "\n" * 5000}},
        ],
        ids=str,
    )
    def test_parts_of_another_kind_than_stripes_are_no_fault_of_ours(self, unanswered, changes):
        assert signed(notice(intent(unanswered) | changes)).status_code in (200, 400)


class TestWhatMovesAtStripeItself:
    """Refunds from Stripe's dashboard and disputes lack our metadata: Stripe is asked for their
    payment."""

    @pytest.fixture
    def paid(self, shop, person, settings, tmp_path):
        bank = Bank(tmp_path / "book.sqlite")
        settings.PAYMENT_GATEWAY, settings.STRIPE_SECRET_KEY = "stripe", "sk_test_of_the_tests"
        settings.STRIPE_BASE_URL, settings.STRIPE_TIMEOUT_SECONDS = bank.url, 2.0
        chosen.gateway.cache_clear()
        order_id = person("ada").placed()
        drain()
        assert PaymentView.objects.get(pk=order_id).status == "COMPLETED"
        yield order_id, bank
        chosen.gateway.cache_clear()
        bank.close()

    def from_dashboard(self, order_id, **changes):
        return {
            "id": "re_dashboard",
            "object": "refund",
            "payment_intent": PaymentView.objects.get(pk=order_id).reference,
            "amount": 1999,
            "currency": "eur",
            "status": "succeeded",
            "metadata": {},
        } | changes

    def waits_for_a_person(self, order_id):
        return SagaState.objects.filter(key=order_id, status="NEEDS_ATTENTION").exists()

    def test_a_refund_from_the_dashboard_is_recorded_once_and_calls_for_a_person(self, paid):
        order_id, _ = paid
        object_ = self.from_dashboard(order_id)
        assert signed(notice(object_, "refund.created", id_="evt_1")).status_code == 200
        assert signed(notice(object_, "refund.updated", id_="evt_2")).status_code == 200
        assert payment(order_id) == "REFUNDED"
        assert PaymentView.objects.get(pk=order_id).refunded == 1999
        assert self.waits_for_a_person(order_id)

    def test_a_dispute_is_recorded_until_it_is_won(self, paid, operator):
        order_id, _ = paid
        dispute = {
            "id": "dp_1",
            "object": "dispute",
            "reason": "fraudulent",
            "status": "needs_response",
        }
        signed(
            notice(self.from_dashboard(order_id, **dispute), "charge.dispute.created", id_="evt_1")
        )
        assert payment(order_id) == "DISPUTED"
        assert self.waits_for_a_person(order_id)
        problem(
            operator.post(f"/api/commands/shipments/{order_id}/ship/"), 409, "ShipmentCalledOff"
        )
        signed(
            notice(
                self.from_dashboard(order_id, **dispute | {"status": "won"}),
                "charge.dispute.closed",
                id_="evt_2",
            )
        )
        assert payment(order_id) == "COMPLETED"

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": "pending"},
            {"status": "failed"},
            {"object": "dispute", "status": "warning_under_review"},
        ],
    )
    def test_what_has_not_moved_is_taken_note_of(self, paid, changes):
        order_id, _ = paid
        assert (
            signed(notice(self.from_dashboard(order_id, **changes), "refund.updated")).status_code
            == 200
        )
        assert payment(order_id) == "COMPLETED"

    def test_while_stripe_does_not_say_whose_it_is_the_notice_is_to_be_sent_again(self, paid):
        order_id, bank = paid
        bank.close()
        body = notice(self.from_dashboard(order_id), "refund.created")
        assert problem(signed(body), 503, "StripeSilent")
        assert not Received.objects.exists()


class TestWhoIsLetIn:
    def test_nobody_without_a_signature(self, unanswered):
        problem(Api().post(STRIPE, notice(intent(unanswered))), 401, "Forged")
        assert payment(unanswered) == "REQUESTED"

    @pytest.mark.parametrize(
        "header",
        ["", "t=1", "v1=00", "t=x,v1=00", "t=1,v1=é", "t=,=,", "t=" + "9" * 5000 + ",v1=0"],
    )
    def test_nobody_with_something_else_in_its_place(self, unanswered, header):
        problem(
            Api().post(STRIPE, notice(intent(unanswered)), **{"Stripe-Signature": header}),
            401,
            "Forged",
        )

    def test_nobody_with_anothers_secret(self, unanswered):
        problem(signed(notice(intent(unanswered)), secret=OTHER), 401, "Forged")
        assert payment(unanswered) == "REQUESTED"

    def test_nobody_with_a_body_changed_by_one_blank(self, unanswered):
        body = notice(intent(unanswered))
        header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
        problem(Api().post(STRIPE, body + b" ", **{"Stripe-Signature": header}), 401, "Forged")
        assert payment(unanswered) == "REQUESTED"

    def test_nobody_who_comes_too_late(self, unanswered):
        problem(signed(notice(intent(unanswered)), at=int(time.time()) - 301), 401, "Forged")
        assert signed(notice(intent(unanswered)), at=int(time.time()) - 200).status_code == 200

    def test_nobody_who_comes_too_early(self, unanswered):
        problem(signed(notice(intent(unanswered)), at=int(time.time()) + 400), 401, "Forged")
        assert signed(notice(intent(unanswered)), at=int(time.time()) + 200).status_code == 200

    def test_both_secrets_while_one_is_exchanged(self, unanswered, settings):
        settings.STRIPE_WEBHOOK_SECRETS = [SECRET, OTHER]
        assert signed(notice(intent(unanswered)), secret=OTHER).status_code == 200
        assert payment(unanswered) == "COMPLETED"

    @pytest.mark.parametrize("path", [STRIPE, CARRIER])
    def test_nobody_where_no_secret_is_set(self, shop, settings, path):
        settings.STRIPE_WEBHOOK_SECRETS = settings.CARRIER_WEBHOOK_SECRETS = []
        assert (
            "no signing secret" in problem(Api().post(path, b"{}"), 503, "WebhooksShut")["detail"]
        )

    def test_nobody_with_more_than_fits(self, shop, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
        problem(signed(b"x" * 1001), 413, "BodyTooLarge")


class TestRepeats:
    def test_fifty_times_at_once_it_has_one_effect(self, unanswered):
        body = notice(intent(unanswered))

        def send(_):
            try:
                return signed(body).json()["repeat"]
            finally:
                connections.close_all()

        with ThreadPoolExecutor(10) as threads:
            repeats = list(threads.map(send, range(50)))
        assert sorted(repeats) == [False] + [True] * 49
        assert OutboxMessage.objects.filter(type="payments.complete_payment").count() == 1
        assert payment(unanswered) == "COMPLETED"

    def test_under_a_known_id_nothing_is_looked_at_and_the_log_tells_the_contents_apart(
        self, unanswered, caplog
    ):
        caplog.set_level("INFO", "eventstore.api.webhooks")
        bodies = [
            notice(intent(unanswered, "processing")),
            notice(intent(unanswered)),
            notice(intent(unanswered)),
        ]
        assert [signed(body).json()["repeat"] for body in bodies] == [False, True, True]
        assert payment(unanswered) == "REQUESTED"
        digests = [
            record.getMessage().rpartition(" ")[2]
            for record in caplog.records
            if "evt_1" in record.getMessage()
        ]
        assert digests == [hashlib.sha256(body).hexdigest()[:16] for body in bodies]
        assert digests[0] != digests[1] == digests[2]

    def test_what_is_forged_is_not_remembered(self, unanswered):
        signed(notice(intent(unanswered)), secret=OTHER)
        assert not Received.objects.exists()


class TestTheCarrier:
    @pytest.fixture
    def created(self, shop, person):
        order_id = person("ada").placed()
        drain()
        return order_id

    def tell(self, type_, order_id, *, id_="msg_1", secret=SECRET, at=None, after=b""):
        body = json.dumps(
            {"type": type_, "data": {"order_id": order_id, "tracking": "SB1"}}
        ).encode()
        return self.send(body, id_=id_, secret=secret, at=at, after=after)

    def send(self, body, *, id_="msg_1", secret=SECRET, at=None, after=b""):
        at = at or datetime.now(UTC)
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(id_, at, body.decode()),
        }
        return Api().post(CARRIER, body + after, **headers)

    def shipment(self, order_id):
        drain()
        return ShipmentView.objects.get(pk=order_id).status

    def test_says_that_a_parcel_has_left_and_arrived(self, created):
        assert self.tell("parcel.shipped", created, id_="msg_1").status_code == 200
        assert self.shipment(created) == "SHIPPED"
        assert self.tell("parcel.delivered", created, id_="msg_2").status_code == 200
        assert self.shipment(created) == "DELIVERED"

    def test_may_say_that_it_arrived_before_it_says_that_it_left(self, created):
        self.tell("parcel.delivered", created, id_="msg_2")
        self.tell("parcel.shipped", created, id_="msg_1")
        assert self.shipment(created) == "DELIVERED"

    def test_is_heard_once(self, created):
        assert self.tell("parcel.shipped", created).json()["repeat"] is False
        assert self.tell("parcel.shipped", created).json()["repeat"] is True

    def test_is_not_heard_with_anothers_secret_or_too_late_or_too_early_or_changed(self, created):
        problem(self.tell("parcel.shipped", created, secret=OTHER), 401, "Forged")
        for minutes in (-6, 6):
            at = datetime.now(UTC) + timedelta(minutes=minutes)
            problem(self.tell("parcel.shipped", created, at=at), 401, "Forged")
        problem(self.tell("parcel.shipped", created, after=b" "), 401, "Forged")
        problem(Api().post(CARRIER, b"{}"), 401, "Forged")
        assert self.shipment(created) == "CREATED"

    def test_is_refused_with_an_empty_id(self, created):
        [fault] = problem(self.tell("parcel.shipped", created, id_=""), 400)["errors"]
        assert fault["header"] == "webhook-id"

    @pytest.mark.parametrize("signature", ["", "v1", "v1,é", "v1,not base64", "v2,abcd", "v1,a,b"])
    def test_is_not_heard_with_something_else_for_a_signature(self, created, signature):
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(time.time())),
            "webhook-signature": signature,
        }
        problem(Api().post(CARRIER, b"{}", **headers), 401, "Forged")

    def test_may_say_what_we_do_not_know(self, created):
        assert self.tell("parcel.weighed", created).status_code == 200
        assert self.tell("parcel.shipped", "nobody", id_="msg_2").status_code == 200
        assert self.shipment(created) == "CREATED"

    @pytest.mark.parametrize(
        "order_id", ["a\0", "\0", "", "a\n", "x" * 100_000], ids=repr_of_the_beginning
    )
    def test_may_name_what_no_order_can_be_called_and_need_not_say_so_again(
        self, created, order_id, caplog
    ):
        assert self.tell("parcel.shipped", order_id).json() == {
            "received": "msg_1",
            "repeat": False,
        }
        assert "webhook of carrier ignored" in caplog.text
        assert "\0" not in caplog.text
        assert self.shipment(created) == "CREATED"

    @pytest.mark.parametrize("order_id", [r"\ud800", r"a\udfff", r"\ud800\ud800"])
    def test_is_refused_where_half_a_character_is_no_text(self, created, order_id):
        body = '{"type": "parcel.shipped", "data": {"order_id": "' + order_id + '"}}'
        problem(self.send(body.encode()), 400, "Malformed")
        assert not Received.objects.exists()

    def test_is_refused_where_it_nests_without_end(self, created):
        body = (
            b'{"type": "parcel.shipped", "data": {"order_id": "a", "more": '
            + b"[" * 2000
            + b"]" * 2000
            + b"}}"
        )
        problem(self.send(body), 400, "Malformed")

    @pytest.mark.parametrize("id_", ["m" * 256, "m\x7f", ""], ids=repr_of_the_beginning)
    def test_is_refused_under_an_id_that_cannot_be_kept(self, created, id_):
        problem(self.tell("parcel.shipped", created, id_=id_), 400)
        assert self.shipment(created) == "CREATED"

    def test_cannot_write_lines_of_its_own_into_the_log(self, created, caplog):
        self.tell("parcel.lost\nERROR all is lost", created)
        assert "\nERROR" not in caplog.text
