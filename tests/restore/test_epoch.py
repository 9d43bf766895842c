"""What has happened to the log, according to the server; the consequences for positions and
calls."""

from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest
from django.db import transaction

from eventstore import log
from eventstore.delivery import step
from eventstore.log import epochs
from eventstore.log.epochs import (
    CRASH,
    ELSEWHERE,
    LONG_SILENT,
    PROMOTION,
    Epoch,
    EpochOver,
    LogState,
)
from eventstore.money import Money
from eventstore.testing import drain
from payments.events import PaymentRequested
from payments.gateway import GATEWAY
from payments.gateway.sandbox import SandboxGateway
from payments.models import SandboxEntry
from tests.eventstore.concurrently import in_thread

from .losing import forget_the_mark, last

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FIRST = Epoch(1, 11, "first", "", NOW, 0.0, 0, 0, 0, 7, 5, 1, None)
SECOND = Epoch(2, 22, "promotion", "", NOW, 0.0, 450, 500, 10_000, 7, 5, 2, None)
THIRD = Epoch(3, 33, "restore", "", NOW, 0.0, 10_200, 10_300, 90_000, 7, 5, 3, None)
WHOLE = LogState(11, 7, 5, 1, 1.0, (FIRST,))


class TestWhatHappened:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({}, ""),
            ({"silent": 86_400.0}, ""),
            ({"mark": None}, CRASH),
            ({"mark": None, "silent": 86_400.0}, CRASH),
            ({"mark": None, "timeline": 2}, PROMOTION),
            ({"mark": None, "timeline": 2, "silent": 601.0}, LONG_SILENT),
            ({"system_identifier": 8}, ELSEWHERE),
            ({"database": 6}, ELSEWHERE),
            ({"mark": None, "system_identifier": 8}, ELSEWHERE),
            # Managed servers may not report their identity: then no other server is assumed.
            ({"system_identifier": None}, ""),
            ({"mark": None, "timeline": None}, PROMOTION),
        ],
    )
    def test_is_known_by_mark_place_and_silence(self, changes, why):
        assert epochs.what_happened(msgspec.structs.replace(WHOLE, **changes)) == why

    def test_an_epoch_after_a_crash_has_lost_nothing_that_was_acknowledged(self):
        crash = msgspec.structs.replace(SECOND, reason=CRASH)
        assert not crash.may_have_lost
        assert msgspec.structs.replace(
            crash, silent=86_400.0
        ).may_have_lost  # an old copy looks like a crash


class TestPositions:
    @pytest.mark.parametrize(
        ("position", "intact"),
        [
            (1, None),
            (450, None),
            (451, 450),
            (700, 450),
            (10_000, 450),
            (10_001, None),
            (10_250, 10_200),
            (90_001, None),
        ],
    )
    def test_of_what_may_be_lost_are_known_from_all_others(self, position, intact):
        lost = epochs.lost_behind(position, [FIRST, SECOND, THIRD])
        assert (lost and lost.intact) == intact

    def test_a_cursor_passes_a_gap_in_one_step_and_it_counts_as_nothing(self, monkeypatch):
        monkeypatch.setattr(epochs, "_cached", epochs._Cached(33, (FIRST, SECOND, THIRD), 0.0))
        assert [epochs.beyond_gap(position) for position in (400, 501, 9_999, 10_001)] == [
            400,
            10_000,
            10_000,
            10_001,
        ]
        assert epochs.given(400, 10_100) == 200


@pytest.mark.django_db(transaction=True)
class TestTheGate:
    def test_nothing_is_appended_and_no_subscription_moves_before_another_epoch_has_begun(
        self, cups
    ):
        before = last()
        forget_the_mark()
        with pytest.raises(EpochOver), transaction.atomic():
            log.append(
                "payment-o",
                [PaymentRequested("o", Money(1000, "EUR"), "tok_visa")],
                expected=log.ANY,
            )
        assert (last(), step.step("payments")) == (before, 0)

    def test_outside_of_a_transaction_who_appends_begins_it(self, cups):
        forget_the_mark()
        log.append(
            "payment-o", [PaymentRequested("o", Money(1000, "EUR"), "tok_visa")], expected=log.ANY
        )
        assert [each.reason for each in epochs.history()] == ["first", "crash"]
        assert last() > epochs.history()[-1].first

    def test_of_many_who_notice_at_once_one_begins_it(self, cups):
        forget_the_mark()
        marks = {each.result(30) for each in [in_thread(epochs.renew) for _ in range(8)]}
        assert len(marks) == 1
        assert len(epochs.ask().epochs) == 2

    def test_the_role_of_the_application_may_begin_one_and_not_write_one(self, cups):
        from django.core.management import call_command
        from django.db import connection

        call_command("app_role", "restore_test_app", verbosity=0)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET ROLE restore_test_app")
                forbidden = (
                    "DELETE FROM eventstore_epoch_mark",
                    "UPDATE eventstore_epoch SET intact = 10",
                )
                for statement in forbidden:
                    with pytest.raises(Exception) as error:
                        cursor.execute(statement)
                    assert isinstance(error.value.__cause__, psycopg.errors.InsufficientPrivilege)
                cursor.execute("RESET ROLE")
                forget_the_mark()
                cursor.execute("SET ROLE restore_test_app")
            log.append(
                "payment-o",
                [PaymentRequested("o", Money(1000, "EUR"), "tok_visa")],
                expected=log.ANY,
            )
            assert len(epochs.history()) == 2
        finally:
            with connection.cursor() as cursor:
                cursor.execute(
                    "RESET ROLE; DROP OWNED BY restore_test_app; DROP ROLE restore_test_app"
                )


@pytest.mark.django_db(transaction=True)
class TestCalls:
    def request(self):
        log.append(
            "payment-o", [PaymentRequested("o", Money(1000, "EUR"), "tok_visa")], expected=log.ANY
        )
        drain()

    def test_after_a_restore_a_provider_that_has_forgotten_its_keys_is_asked_first(self, cups):
        """The provider is asked first, and returns the charge that the log has lost."""
        SandboxGateway(late=0.0).charge(
            key="charge:o", order_id="o", amount=Money(1000, "EUR"), method="tok_visa"
        )
        forget_the_mark()
        epochs.begin(epochs.PROMOTION)
        self.request()
        assert [(each.key, each.tries) for each in SandboxEntry.objects.all()] == [("charge:o", 1)]
        assert [type(each.body).__name__ for each in log.read_stream("payment-o")][
            -1
        ] == "PaymentCompleted"

    def test_as_long_as_nothing_was_lost_it_is_not(self, cups):
        assert not epochs.asks_first()

    def test_nor_when_nobody_comes_back_any_more(self, cups, monkeypatch):
        epochs.begin(epochs.PROMOTION, over=epochs.mark())
        assert epochs.asks_first()
        long_ago = msgspec.structs.replace(
            epochs.history()[-1], began_at=datetime.now(UTC) - timedelta(days=31)
        )
        monkeypatch.setattr(epochs, "_cached", epochs._Cached(1, (long_ago,), 0.0))
        assert not epochs.asks_first()

    def test_what_was_called_for_under_the_events_id_is_found_under_it(self, cups):
        """Called as by an earlier release."""
        log.append(
            "payment-o", [PaymentRequested("o", Money(1000, "EUR"), "tok_visa")], expected=log.ANY
        )
        [message] = log.read_stream("payment-o")
        assert GATEWAY.keys(message) == ("charge:o", str(message.id))
