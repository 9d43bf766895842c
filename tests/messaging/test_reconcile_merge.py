"""The comparison by itself, with 100,000 messages: it finds each fault, and nothing without one."""

import tracemalloc
from collections import Counter
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.messaging.reconcile import merge, sorting
from eventstore.messaging.reconcile.broker_side import BrokerSide, Message
from eventstore.messaging.reconcile.log_side import murmur2
from eventstore.messaging.reconcile.merge import Gone, Merge, still_missing
from eventstore.messaging.reconcile.records import EXPECTED, FOUND, ORDERED, expected, id_of
from eventstore.messaging.reconcile.report import Difference
from eventstore.messaging.reconcile.sorting import Sorter

NUMBER, KEYS, PARTITIONS = 100_000, 997, 6
# The message that a fault befalls, and the next one of its key.
VICTIM = 50_000
NEXT = VICTIM + KEYS
GONE = Gone(PARTITIONS)


def id_(number):
    return blake2b(b"%d" % number, digest_size=16).digest()


def record(number, *, is_parked=False):
    key = number % KEYS
    return EXPECTED.pack(id_(number), number, number * 1000, key, key, is_parked)


def message(number, *, offset=None, digest=None):
    """As the topic has it."""
    offset = number if offset is None else offset
    digest = number if digest is None else digest
    return Message(id_(number), digest, number % KEYS % PARTITIONS, offset, number)


@pytest.fixture(scope="module")
def log():
    with_all = Sorter(EXPECTED.size)
    with_all.add(record(number) for number in range(1, NUMBER + 1))
    yield with_all
    with_all.close()


def topic():
    """In the order of the offsets."""
    return [message(number) for number in range(1, NUMBER + 1)]


def compared(log, messages, *, gone=GONE, after=0, until=NUMBER, missing=None):
    broker = BrokerSide(after, until)
    for start in range(0, len(messages), 5000):
        broker.add(messages[start : start + 5000])
    is_plain = broker.in_order and not gone.is_compacted
    by_key = None if is_plain else Sorter(ORDERED.size)
    on_missing = missing.add_one if missing else lambda record: None
    merge = Merge(gone, by_key, on_missing)
    return list(merge.differences(log, broker.sorted)), merge, broker


def test_without_a_fault_nothing_is_found(log):
    found, merge, broker = compared(log, topic())
    assert found == []
    assert merge.expected == len(broker.sorted) == NUMBER


def test_one_deleted_among_100_000(log):
    messages = topic()
    del messages[VICTIM - 1]
    assert compared(log, messages)[0] == [Difference("missing", VICTIM)]


def test_two_of_a_key_swapped(log):
    messages = topic()
    messages[VICTIM - 1] = message(NEXT, offset=VICTIM)
    messages[NEXT - 1] = message(VICTIM, offset=NEXT)
    partition = VICTIM % KEYS % PARTITIONS
    assert compared(log, messages)[0] == [Difference("out of order", NEXT, partition, VICTIM)]


def test_two_of_different_keys_swapped_are_in_order(log):
    """A parked message is published later, and those of other keys do not wait for it."""
    messages = topic()
    other = VICTIM + PARTITIONS  # in the same partition
    messages[VICTIM - 1] = message(other, offset=VICTIM)
    messages[other - 1] = message(VICTIM, offset=other)
    found, _, broker = compared(log, messages)
    assert found == []
    assert not broker.in_order


def test_one_repeated(log):
    messages = [*topic(), message(VICTIM, offset=NUMBER + 1)]
    partition = VICTIM % KEYS % PARTITIONS
    assert compared(log, messages)[0] == [Difference("repeated", VICTIM, partition, NUMBER + 1)]


def test_a_whole_history_repeated_is_repeats_in_order(log):
    again = [each._replace(offset=each.offset + NUMBER) for each in topic()]
    found, _, _ = compared(log, [*topic(), *again])
    assert len(found) == NUMBER
    assert {each.kind for each in found} == {"repeated"}


def test_one_altered(log):
    messages = topic()
    messages[VICTIM - 1] = message(VICTIM, digest=-1)
    partition = VICTIM % KEYS % PARTITIONS
    assert compared(log, messages)[0] == [Difference("altered", VICTIM, partition, VICTIM)]


@given(
    st.lists(st.integers(0, 30), unique=True),
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 0, 0, 1])), max_size=60),
    st.sampled_from([1, 2, 3, 1000]),
)
def test_blocks_give_what_each_record_by_itself_gives(expected_, found, block):
    """expected_: numbers. found: numbers, and whether each is altered."""
    ours = sorted(record(number) for number in expected_)
    theirs = sorted(
        FOUND.pack(*message(number, offset=offset, digest=number + altered))
        for offset, (number, altered) in enumerate(found)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "BLOCK", block)
        differences = [tuple(each) for each in Merge(GONE).differences(ours, theirs)]
    kinds = Counter(kind for kind, *_ in differences)
    numbers = Counter(number for number, _ in found)
    assert kinds["missing"] == len(set(expected_) - set(numbers))
    assert kinds["foreign"] == sum(n for each, n in numbers.items() if each not in expected_)
    assert kinds["repeated"] == sum(n - 1 for each, n in numbers.items() if each in expected_)
    assert kinds["altered"] == sum(altered for number, altered in found if number in expected_)


def test_a_repeat_behind_a_block_is_seen(monkeypatch):
    monkeypatch.setattr(merge, "BLOCK", 2)
    ours = sorted(record(number) for number in range(1, 5))
    theirs = sorted(FOUND.pack(*message(number)) for number in range(1, 5))
    assert list(Merge(GONE).differences(ours, theirs)) == []
    for number in range(1, 5):
        again = FOUND.pack(*message(number, offset=99))
        (found,) = Merge(GONE).differences(ours, sorted([*theirs, again]))
        assert (found.kind, found.position) == ("repeated", number)


def test_one_foreign(log):
    foreign = Message(id_(-1), 0, 3, NUMBER + 1, -1)
    assert compared(log, [*topic(), foreign])[0] == [Difference("foreign", None, 3, NUMBER + 1)]


def test_all_faults_at_once(log):
    messages = topic()
    messages[9] = message(10, digest=-1)
    messages[VICTIM - 1] = message(NEXT, offset=VICTIM)
    messages[NEXT - 1] = message(VICTIM, offset=NEXT)
    messages += [message(20, offset=NUMBER + 1), Message(id_(-1), 0, 3, NUMBER + 2, -1)]
    del messages[29]
    kinds = sorted(each.kind for each in compared(log, messages)[0])
    assert kinds == ["altered", "foreign", "missing", "out of order", "repeated"]


def test_what_is_newer_or_earlier_is_not_compared():
    log = sorted(record(number) for number in range(101, 201))
    found, _, broker = compared(log, topic()[:300], after=100, until=200)
    assert found == []
    assert (broker.newer, broker.earlier) == (100, 100)


def test_what_retention_has_deleted_is_a_hole_of_its_partition_only():
    log = sorted(record(number) for number in range(1, 1001))
    kept = [each for each in topic()[:1000] if each.partition != 2 or each.offset > 500]
    first = next(each for each in kept if each.partition == 2)
    gone = GONE._replace(until={2: first.position})
    found, merge, _ = compared(log, kept, gone=gone)
    assert found == []
    assert merge.expired == {2: sum(each.partition == 2 for each in topic()[:500])}
    del kept[kept.index(first) + 1]
    assert [each.kind for each in compared(log, kept, gone=gone)[0]] == ["missing"]


def test_a_compacted_topic_needs_the_newest_of_each_key_only():
    log = sorted(record(number) for number in range(1, 3 * KEYS + 1))
    kept = topic()[2 * KEYS : 3 * KEYS]
    gone = GONE._replace(is_compacted=True)
    found, merge, _ = compared(log, kept, gone=gone)
    assert (found, merge.compacted) == ([], 2 * KEYS)
    assert [each.kind for each in compared(log, kept[1:], gone=gone)[0]] == ["missing"] * 3


def test_a_parked_message_is_named_as_such():
    log = sorted([record(1), record(2, is_parked=True), record(3)])
    found, _, _ = compared(log, [message(1), message(3)])
    assert found == [Difference("parked", 2)]


def test_what_has_arrived_since_is_not_published_again():
    missing = sorted(record(number) for number in range(1, 11))
    arrived = BrokerSide(0, NUMBER)
    arrived.add([message(3), message(7)])
    left = [expected(each).position for each in still_missing(missing, arrived.sorted)]
    assert sorted(left) == [1, 2, 4, 5, 6, 8, 9, 10]


@given(st.lists(st.binary(min_size=4, max_size=4)), st.integers(1, 400))
def test_records_come_back_sorted_however_little_fits_into_memory(records, memory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "MOST_FILES", 3)
        sorter = Sorter(4, memory=memory)
        for each in records:
            sorter.add_one(each)
        assert list(sorter) == list(sorter) == sorted(records)
        assert len(sorter) == len(records)
        assert len(sorter.files) <= 3
        sorter.close()


def test_memory_is_bounded_in_bytes(monkeypatch):
    """A hundred times as many records as fit: they are in files, and at most so many in memory."""
    sorter = Sorter(EXPECTED.size, memory=200 * (EXPECTED.size + sorting.OBJECT_BYTES))
    largest = 0
    for number in range(20_000):
        sorter.add_one(record(number))
        largest = max(largest, len(sorter.records))
    assert largest <= 200
    assert sum(1 for _ in sorter) == 20_000
    sorter.close()


def test_a_comparison_takes_bounded_memory(monkeypatch):
    """Both sides of 100,000 messages, one of them missing: 18 MB of records, in a few files."""
    monkeypatch.setattr(sorting, "BLOCK_RECORDS", 64)
    expected = Sorter(EXPECTED.size, memory=256 << 10)
    broker = BrokerSide(0, 100_000)
    broker.sorted = Sorter(FOUND.size, memory=256 << 10)
    tracemalloc.start()
    try:
        for start in range(1, 100_000, 1000):
            numbers = range(start, start + 1000)
            expected.add(record(number) for number in numbers)
            broker.add([message(number) for number in numbers if number != 4711])
        (missing,) = Merge(GONE).differences(expected, broker.sorted)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        expected.close()
        broker.close()
    assert (missing.kind, missing.position) == ("missing", 4711)
    assert peak < 4 << 20


def test_the_partition_is_the_one_of_java():
    """The values are those of org.apache.kafka.common.utils.Utils.murmur2, made positive."""
    assert murmur2(b"21") == -973932308 & 0x7FFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0x7FFFFFFF
    assert murmur2(b"a-little-bit-long-string") == -985981536 & 0x7FFFFFFF


def test_an_id_that_is_no_uuid_has_sixteen_bytes_too():
    assert len(id_of("order-1")) == len(id_of("")) == 16
    assert id_of("0198b1c2-0000-7000-8000-000000000001").hex().startswith("0198b1c2")
