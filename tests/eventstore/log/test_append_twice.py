"""The same append twice, at one moment or in another order: the first answer, and nothing is
written twice."""

from itertools import product
from threading import Barrier

import pytest
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from eventstore import log
from eventstore.log import ANY, NO_STREAM, append, append_all
from eventstore.models import Event
from tests.eventstore.concurrently import in_thread, until_waiting
from tests.eventstore.toy import Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

TIMES = 120


def counts(*amounts, of="a"):
    return [Counted(of, amount) for amount in amounts]


def by_append(stream, ids, expected):
    return append(stream, counts(*range(len(ids))), expected=expected, ids=ids)


def by_append_all(stream, ids, expected):
    return append_all({stream: (expected, counts(*range(len(ids))))}, ids=ids)


def by_write_once(stream, ids, expected):
    """Each under a key of its own, so that it is not the key by which they are known."""
    events = log.new_events(
        stream,
        counts(*range(len(ids))),
        expected=max(expected, 0),
        metadata=log.current_metadata(),
        ids=iter(ids),
    )
    answer = (
        f'{{"scope": "{uuid7()}", "fingerprint": "", "status": 202, "headers": {{}}, "body":'
        ' "{}"}'
    )
    return log.write_once(answer, events).appended


WAYS = [by_append, by_append_all, by_write_once]
PAIRS = [
    *((one, other, NO_STREAM, NO_STREAM) for one, other in product(WAYS, WAYS)),
    *((one, other, NO_STREAM, ANY) for one, other in product(WAYS, WAYS[:2])),
    *((one, other, ANY, ANY) for one, other in product(WAYS[:2], WAYS[:2])),
]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("one", "other", "expected", "also"), PAIRS)
def test_at_one_moment_both_have_the_same_answer(one, other, expected, also, count):
    gate = Barrier(2)

    def run(way, expectation):
        answers = []
        for number in range(TIMES // 4):
            gate.wait(10)
            answers.append(way(f"counter-{number}", ids[number], expectation))
        return answers

    ids = [[uuid7() for _ in range(count)] for _ in range(TIMES // 4)]
    first, second = in_thread(run, one, expected), in_thread(run, other, also)

    assert first.result(60) == second.result(60)
    assert Event.objects.count() == count * TIMES // 4


@pytest.mark.parametrize(
    "expectations", [[NO_STREAM] * 8, [NO_STREAM, ANY] * 4, [ANY] * 8], ids=["exact", "both", "any"]
)
def test_of_eight_at_one_moment_all_have_the_same_answer(expectations):
    """Between the look at one unique index and the next there is little time; so many find it."""
    gate = Barrier(len(expectations))

    def run(expected):
        answers = []
        for number in range(2 * TIMES):
            gate.wait(20)
            try:
                answers.append(
                    append(f"counter-{number}", counts(1), expected=expected, ids=[ids[number]])
                )
            except log.EventIdTaken as error:
                answers.append(error)
        return answers

    ids = [uuid7() for _ in range(2 * TIMES)]
    first, *others = [
        each.result(120) for each in [in_thread(run, expected) for expected in expectations]
    ]
    for other in others:
        assert other == first
    assert Event.objects.count() == 2 * TIMES


@pytest.mark.parametrize("expected", [NO_STREAM, ANY])
def test_within_transactions_as_well_where_an_error_would_break_them(expected):
    gate = Barrier(2)

    def run():
        answers = []
        for number in range(TIMES):
            gate.wait(10)
            with transaction.atomic():
                answers.append(
                    append(f"counter-{number}", counts(1), expected=expected, ids=[ids[number]])
                )
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
        return answers

    ids = [uuid7() for _ in range(TIMES)]
    first, second = in_thread(run), in_thread(run)
    assert first.result(60) == second.result(60)


@pytest.mark.parametrize("expected", [NO_STREAM, ANY])
def test_who_waits_for_the_first_has_its_answer(another, expected):
    ids = [uuid7(), uuid7()]
    with transaction.atomic():
        first = append("counter-a", counts(1, 2), expected=NO_STREAM, ids=ids)
        rival = in_thread(lambda: append("counter-a", counts(1, 2), expected=expected, ids=ids))
        until_waiting(another())
    assert rival.result(5) == first


@pytest.mark.parametrize("expected", [NO_STREAM, ANY])
def test_in_another_order_of_streams_the_versions_and_positions_are_those_of_the_first(expected):
    x, y, z = ids = [uuid7() for _ in range(3)]
    a, b = (expected, counts(1)), (expected, counts(1, 2, of="b"))
    first = append_all({"counter-a": a, "counter-b": b}, ids=ids)

    again = append_all({"counter-b": b, "counter-a": a}, ids=[y, z, x])

    assert again.versions == first.versions == {"counter-a": 1, "counter-b": 2}
    assert again.position == first.position
    assert list(again.positions) == [*first.positions[1:], first.positions[0]]


@pytest.mark.parametrize("expected", [NO_STREAM, ANY])
def test_a_repeat_names_every_position(expected):
    ids = [uuid7() for _ in range(3)]
    first = append("counter-a", counts(1, 2, 3), expected=expected, ids=ids)
    append("counter-b", counts(1, of="b"), expected=NO_STREAM)

    assert append("counter-a", counts(1, 2, 3), expected=expected, ids=ids) == first
    assert list(first.positions) == list(
        Event.objects.filter(stream="counter-a")
        .order_by("version")
        .values_list("position", flat=True)
    )
    assert first.position == first.positions[-1]
