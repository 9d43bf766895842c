"""Translating batch after batch: what is read of the log, and what is known without reading."""

import pytest

from eventstore import log
from eventstore.log import ANY, append, epochs
from eventstore.messages import StateTransfer
from eventstore.messaging import publisher
from eventstore.messaging.publisher import Translator
from eventstore.postgres import execute
from eventstore.subscriptions import Publication
from eventstore.testing import unguarded
from tests.eventstore.toy import COUNTER, Closed, Counted

pytestmark = [pytest.mark.django_db(transaction=True)]


class Total(StateTransfer, frozen=True):
    counter_id: str
    total: int


class Number(StateTransfer, frozen=True):
    amount: int


@pytest.fixture
def folded():
    """How many events were folded."""
    return []


@pytest.fixture
def aggregate(folded):
    def count(counter, event):
        folded.append(event)
        return COUNTER.evolve[Counted](counter, event)

    return COUNTER._replace(evolve={**COUNTER.evolve, Counted: count})


@pytest.fixture
def totals(toys, aggregate):
    """Translates into the state of the counter."""
    publication = Publication(
        publish={
            Counted: lambda event, history: [Total(event.counter_id, aggregate.fold(history).total)]
        }
    )
    toys({"toy.published": publication}, PUBLISHED=[{"toy.total": Total}])
    return Translator(publication)


@pytest.fixture
def numbers(toys):
    """Translates without the history."""
    publication = Publication(publish={Counted: lambda event, _: [Number(event.amount)]})
    toys({"toy.published": publication}, PUBLISHED=[{"toy.number": Number}])
    return Translator(publication)


@pytest.fixture
def reads(monkeypatch):
    """The streams that are read from the log."""
    streams, read_newer = [], log.read_newer

    def read(versions, **options):
        streams.append(dict(versions))
        return read_newer(versions, **options)

    monkeypatch.setattr(log, "read_newer", read)
    return streams


def count(*amounts, key="a"):
    append(f"counter-{key}", [Counted(key, amount) for amount in amounts], expected=ANY)


def recorded(after=0):
    return [each for each in log.read_log(after=after) if isinstance(each.body, Counted)]


def batch(translator, messages, *, after, until):
    translator.begin(messages, after=after, until=until)
    return [each for message in messages for each in translator.envelopes(message)]


def test_a_history_that_no_translation_uses_is_not_read(numbers, reads):
    count(1)
    count(1, key="b")
    found = batch(numbers, recorded(), after=0, until=10)
    assert [each.event for each in found] == [Number(1), Number(1)]
    assert reads == []


def test_the_sequence_before_is_known_from_the_batch_before(numbers, reads):
    count(1, 2, 3)
    first, second, third = recorded()
    batch(numbers, [first, second], after=0, until=second.position)
    (found,) = batch(numbers, [third], after=second.position, until=third.position)
    assert (found.sequence, found.previous) == (3000, 2000)
    assert reads == []


def test_it_is_read_where_the_batch_does_not_follow_the_one_before(numbers, reads):
    """Another process has published the second one."""
    count(1, 2, 3)
    first, second, third = recorded()
    batch(numbers, [first], after=0, until=first.position)
    (found,) = batch(numbers, [third], after=second.position, until=third.position)
    assert (found.sequence, found.previous) == (3000, 2000)
    assert reads


def test_it_is_read_for_a_message_that_is_retried_out_of_order(numbers):
    count(1, 2, 3, 4)
    first, second, third, fourth = recorded()
    numbers.begin([second, fourth], after=third.position, until=fourth.position)
    (again,) = numbers.envelopes_again(second)
    (found,) = numbers.envelopes(fourth)
    assert (again.previous, found.previous) == (1000, 3000)


def test_what_fails_leaves_the_next_of_its_stream_without_a_known_sequence(numbers, monkeypatch):
    def fails(event, history):
        if event.amount == 2:
            raise ValueError(event.amount)
        return [Number(event.amount)]

    count(1, 2, 3)
    numbers.publication = Publication(publish={Counted: fails})
    first, second, third = recorded()
    numbers.begin([first, second, third], after=0, until=third.position)
    numbers.envelopes(first)
    for message in (second, third):  # the third waits behind the second
        with pytest.raises(ValueError):
            numbers.envelopes(message)


def test_a_state_is_folded_on_from_the_last_one(totals, folded, reads):
    count(*range(1, 101))
    messages = recorded()
    found = batch(totals, messages[:50], after=0, until=messages[49].position)
    found += batch(totals, messages[50:], after=messages[49].position, until=messages[-1].position)
    assert [each.event.total for each in found] == [n * (n + 1) // 2 for n in range(1, 101)]
    assert len(folded) == 100
    assert reads == []


def test_events_of_other_types_between_are_folded_too(toys, aggregate, reads):
    """They are not messages of the publication, so they are read."""
    publication = Publication(
        publish={Closed: lambda event, history: [Total("a", aggregate.fold(history).total)]}
    )
    toys({"toy.published": publication}, PUBLISHED=[{"toy.total": Total}])
    translator = Translator(publication)
    append("counter-a", [Counted("a", 5), Closed("a"), Counted("a", 7), Closed("a")], expected=ANY)
    first, second = (each for each in log.read_log(after=0) if isinstance(each.body, Closed))
    batch(translator, [first], after=0, until=first.position)
    (found,) = batch(translator, [second], after=first.position, until=second.position)
    assert found.event.total == 12
    assert reads == [{"counter-a": 0}, {"counter-a": 2}]


def test_no_more_pages_of_a_long_stream_are_read_than_needed(toys, monkeypatch, reads):
    monkeypatch.setattr("eventstore.log.streams.MOST_NEWER", 3)
    publication = Publication(publish={Counted: lambda event, past: [Number(len(list(past)))]})
    toys({"toy.published": publication}, PUBLISHED=[{"toy.number": Number}])
    translator = Translator(publication)
    count(*range(1, 50))
    second = recorded()[1]
    (found,) = batch(translator, [second], after=second.position - 1, until=second.position)
    assert found.event == Number(2)
    assert found.previous == 1000


def test_an_older_message_is_folded_from_the_beginning(totals):
    count(1, 2, 3)
    first, second, third = recorded()
    batch(totals, [first, second, third], after=0, until=third.position)
    totals.begin([second], after=third.position, until=third.position)
    (found,) = totals.envelopes_again(second)
    assert found.event.total == 3


def test_in_a_new_epoch_of_the_log_nothing_is_known(totals, folded, monkeypatch):
    count(1, 2)
    first, second = recorded()
    batch(totals, [first], after=0, until=first.position)
    monkeypatch.setattr(epochs, "known_mark", lambda: 7)
    monkeypatch.setattr(epochs, "mark", lambda: 7)
    batch(totals, [second], after=first.position, until=second.position)
    assert len(folded) == 1 + 1 + 2  # the first alone, then both, one of them for its sequence


def test_of_two_streams_only_that_which_cannot_be_decoded_fails(toys):
    publication = Publication(publish={Counted: lambda event, past: [Number(len(list(past)))]})
    toys({"toy.published": publication}, PUBLISHED=[{"toy.number": Number}])
    count(1, 2)
    count(3, 4, key="b")
    messages = [each for each in recorded() if each.version == 2]
    with unguarded():
        execute(
            "UPDATE eventstore_event SET data = '{}' WHERE stream = 'counter-a' AND version = 1"
        ).close()
    translator = Translator(publication)
    translator.begin(messages, after=0, until=messages[-1].position)
    with pytest.raises(ValueError, match="Counted"):
        translator.envelopes(messages[0])
    (found,) = translator.envelopes(messages[1])
    assert found.event == Number(2)


def test_a_translator_forgets_the_streams_that_it_has_not_met_for_long(numbers, monkeypatch):
    monkeypatch.setattr(publisher, "KEPT_STREAMS", 2)
    for key in "abc":
        count(1, key=key)
    messages = recorded()
    batch(numbers, messages, after=0, until=messages[-1].position)
    assert list(numbers.last) == ["counter-b", "counter-c"]
