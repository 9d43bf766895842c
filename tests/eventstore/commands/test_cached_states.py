"""What a process remembers of states is bounded by bytes: one may be as large as a thousand
others."""

import pytest

from eventstore.aggregate import VersionedState
from eventstore.commands import repository
from eventstore.log import epochs


@pytest.fixture(autouse=True)
def empty():
    repository.forget()
    yield
    repository.forget()


def keep(**states_):
    states = {name: VersionedState(1, state) for name, state in states_.items()}
    repository.remember(states, epoch=epochs.known_mark())


def test_what_is_remembered_is_bounded_by_bytes_and_who_was_used_last_stays(settings):
    settings.EVENTSTORE_REMEMBERED_BYTES = 10_000
    for number in range(100):
        keep(**{f"s{number}": "x" * 1000})
    assert list(repository.cache.states) == [f"s{number}" for number in range(91, 100)]
    assert repository.cache.bytes <= 10_000


def test_what_is_remembered_is_not_given_up_for_one_that_is_huge(settings):
    settings.EVENTSTORE_REMEMBERED_BYTES = 10_000
    keep(small="x" * 100)
    keep(huge="x" * 5000)
    assert list(repository.cache.states) == ["small"]


def test_what_is_remembered_is_counted_out_when_it_is_forgotten_or_replaced():
    keep(a="x" * 1000, b="y" * 1000)
    keep(a="x")
    repository.forget(["b"])
    assert repository.cache.bytes == repository.size_of(VersionedState(1, "x"))
    repository.forget()
    assert repository.cache.bytes == 0


def test_it_may_be_of_any_kind():
    keep(odd=object(), cyclic={"a": complex(1, 2)})
    assert set(repository.cache.states) == {"odd", "cyclic"}


def test_states_of_an_epoch_that_is_over_are_not_remembered_beside_those_of_the_next():
    keep(new="x")
    repository.remember({"old": VersionedState(1, "y")}, epoch=(epochs.known_mark() or 0) + 1)
    assert set(repository.cache.states) == {"new"}
    assert repository.cache.known(["new", "old"]) == (
        epochs.known_mark(),
        {"new": VersionedState(1, "x")},
    )


def test_states_of_an_epoch_that_is_over_are_not_remembered_by_an_empty_cache():
    repository.remember({"old": VersionedState(1, "y")}, epoch=(epochs.known_mark() or 0) + 1)
    assert repository.cache.known(["old"]) == (epochs.known_mark(), {})
