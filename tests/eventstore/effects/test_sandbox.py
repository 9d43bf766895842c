"""The book of a sandbox: whatever becomes of who asks, a key is one call, and its tries go on where
they were."""

import threading

import pytest
from django.db import connection

from eventstore.effects import sandbox
from eventstore.effects.sandbox import NEVER, Book, Course
from shipping.models import SandboxParcel
from tests.eventstore.concurrently import in_thread, until, until_waiting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def book():
    return Book(SandboxParcel, late=0.0)


def entry(key="k1"):
    return {"key": key, "order_id": "o1", "kind": "booking", "tracking": "SB1"}


def tries(key="k1"):
    return SandboxParcel.objects.get(key=key).tries


def test_a_call_is_noted_with_its_first_try(book):
    book.enter(entry(), Course())
    kept = SandboxParcel.objects.get()
    assert (kept.key, kept.order_id, kept.tries, kept.done) == ("k1", "o1", 1, True)


def test_the_same_key_again_is_another_try_and_no_other_call(book):
    book.enter(entry(), Course())
    book.enter(entry(), Course())
    assert SandboxParcel.objects.count() == 1
    assert tries() == 2


def test_the_count_goes_on_in_the_next_process(book):
    course = Course(done_at=2, answered_at=2)
    with pytest.raises(TimeoutError, match="try 1"):
        book.enter(entry(), course)
    assert not SandboxParcel.objects.get().done
    Book(SandboxParcel, late=0.0).enter(entry(), course)
    assert SandboxParcel.objects.get().done


def test_what_is_done_may_have_no_answer(book):
    with pytest.raises(TimeoutError):
        book.enter(entry(), Course(answered_at=NEVER))
    assert SandboxParcel.objects.get().done


def test_what_many_ask_while_the_clerk_is_busy_is_one_statement(book):
    statements = []
    busy, go_on = threading.Event(), threading.Event()
    in_thread(book.in_turn, lambda: (busy.set(), go_on.wait(5)))
    assert busy.wait(5)
    book_writes = book.write
    book.write = lambda entries: statements.append(len(entries)) or book_writes(entries)
    others = [in_thread(book.enter, entry(f"k{number}"), Course()) for number in range(8)]
    until(lambda: book.batch and len(book.batch.entries) == 8)
    go_on.set()
    for each in others:
        each.result(5)
    assert statements == [8]
    assert SandboxParcel.objects.count() == 8


def test_what_many_ask_at_the_same_moment_is_one_statement(book, monkeypatch):
    """A page is held open for a moment; here for longer, so that a busy machine has them all there
    in time."""
    monkeypatch.setattr(sandbox, "GATHER_SECONDS", 0.5)
    statements, book_writes = [], book.write
    book.write = lambda entries: statements.append(len(entries)) or book_writes(entries)
    for each in [in_thread(book.enter, entry(f"k{number}"), Course()) for number in range(8)]:
        each.result(5)
    assert statements == [8]


def test_the_same_key_twice_at_once_in_one_process_is_two_tries(book):
    busy, go_on = threading.Event(), threading.Event()
    in_thread(book.in_turn, lambda: (busy.set(), go_on.wait(5)))
    assert busy.wait(5)
    both = [in_thread(book.enter, entry(), Course()) for _ in range(2)]
    until(lambda: book.writer._work_queue.qsize() == 2)
    go_on.set()
    for each in both:
        each.result(5)
    assert tries() == 2


def test_the_same_key_at_once_in_two_processes_is_one_call(book, another):
    """The gate: the second waits for the first one's commit, and finds it there."""
    first = another()
    first.execute("BEGIN")
    first.execute(
        "INSERT INTO shipping_sandbox_parcel (key, order_id, kind, tracking, tries, done_at)"
        " VALUES ('k1', 'o1', 'booking', 'SB1', 1, 1)"
    )
    second = in_thread(book.enter, entry(), Course())
    until_waiting(another())
    first.execute("COMMIT")
    second.result(5)
    assert tries() == 2


def test_a_database_that_was_gone_for_a_moment_is_found_again(book, another):
    book.enter(entry(), Course())
    clerk = book.in_turn(lambda: connection.connection.info.backend_pid)
    another().execute(f"SELECT pg_terminate_backend({clerk})")
    with pytest.raises(Exception, match="terminat|closed"):
        book.enter(entry(), Course())
    book.enter(entry(), Course())
    assert tries() == 2
