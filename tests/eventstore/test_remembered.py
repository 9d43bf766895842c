"""What a process remembers of states is bounded by bytes: one may be as large as a thousand others."""

import pytest

from eventstore import epochs, states
from eventstore.aggregate import Folded


@pytest.fixture(autouse=True)
def empty():
    states.forget()
    yield
    states.forget()


def keep(**states_):
    states._keep({name: Folded(1, state) for name, state in states_.items()}, epochs.mark())


def test_what_is_remembered_is_bounded_by_bytes_and_who_was_used_last_stays(settings):
    settings.EVENTSTORE_REMEMBERED_BYTES = 10_000
    for number in range(100):
        keep(**{f"s{number}": "x" * 1000})
    assert list(states._memory) == [f"s{number}" for number in range(91, 100)]
    assert states._taken <= 10_000


def test_what_is_remembered_is_not_given_up_for_one_that_is_huge(settings):
    settings.EVENTSTORE_REMEMBERED_BYTES = 10_000
    keep(small="x" * 100)
    keep(huge="x" * 5000)
    assert list(states._memory) == ["small"]


def test_what_is_remembered_is_counted_out_when_it_is_forgotten_or_replaced():
    keep(a="x" * 1000, b="y" * 1000)
    keep(a="x")
    states.forget(["b"])
    assert states._taken == states._size(Folded(1, "x"))
    states.forget()
    assert states._taken == 0


def test_it_may_be_of_any_kind():
    keep(odd=object(), cyclic={"a": complex(1, 2)})
    assert set(states._memory) == {"odd", "cyclic"}
