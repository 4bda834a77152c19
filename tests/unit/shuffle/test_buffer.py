"""The mapper's buffer: nothing is lost, everything is sorted, mistakes are named, memory is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from blfs_mr.errors import KeyNotSupported, KeysNotComparable, UserCodeError, ValueNotSupported
from blfs_mr.shuffle.batch import BATCH_RECORDS, Batch, Order
from blfs_mr.shuffle.buffer import COMBINE_RECORDS, DECIDING_RECORDS, MapBuffer
from blfs_mr.shuffle.holding import Groups
from blfs_mr.shuffle.partition import partition_of

PLENTY = 1 << 30


def still() -> int:
    """The resident memory of a process that never grows."""
    return 0


def spills(buffer: MapBuffer, pairs: Iterable[Any]) -> list[list[tuple[int, Batch]]]:
    """Everything the buffer gives out, fill by fill."""
    iterator = iter(pairs)
    drained = []
    more = True
    while more:
        more = buffer.fill(iterator)
        drained.append(list(buffer.drain()))
    return drained


def records(batches: Iterable[tuple[int, Batch]]) -> list[tuple[int, Any, Any]]:
    found = []
    for partition, batch in batches:
        bounds = batch.bounds()
        for index, key in enumerate(batch.keys):
            found += [(partition, key, value) for value in batch.values[bounds[index] : bounds[index + 1]]]
    return found


def add(key: Any, values: Iterator[int]) -> Iterator[tuple[Any, int]]:
    yield key, sum(values)


def repeated(count: int) -> list[tuple[str, int]]:
    return [(f"key-{number % 100}", number) for number in range(count)]


def unique(count: int) -> list[tuple[str, int]]:
    return [(f"key-{number * 7919 % count}", number) for number in range(count)]


@pytest.mark.parametrize("data", [repeated, unique])
@pytest.mark.parametrize("memory", [1 << 18, PLENTY])
@pytest.mark.parametrize("partitions", [1, 5])
def test_each_spill_is_sorted_by_partition_and_key(
    data: Callable[[int], list[tuple[str, int]]], memory: int, partitions: int
) -> None:
    pairs = data(DECIDING_RECORDS * 2)
    buffer = MapBuffer(partitions, memory=memory, resident=still)
    drained = spills(buffer, pairs)
    assert (len(drained) > 1) == (memory < PLENTY)
    found = []
    for spill in drained:
        in_order = [(partition, key) for partition, key, _ in records(spill)]
        assert in_order == sorted(in_order)
        found += records(spill)
    assert Counter((key, value) for _, key, value in found) == Counter(pairs)
    assert all(partition == partition_of(key, partitions) for partition, key, _ in found)
    assert buffer.records == len(pairs)


@pytest.mark.parametrize("data", [repeated, unique])
def test_batches_are_bounded(data: Callable[[int], list[tuple[str, int]]]) -> None:
    (spill,) = spills(MapBuffer(1, memory=PLENTY, resident=still), data(BATCH_RECORDS * 2 + 9))
    assert BATCH_RECORDS - 1000 < max(len(batch) for _, batch in spill) <= BATCH_RECORDS


def test_one_huge_key_is_given_out_in_pieces() -> None:
    count = BATCH_RECORDS + 5
    (spill,) = spills(MapBuffer(1, memory=PLENTY, resident=still), (("k", n) for n in range(count)))
    assert [len(batch) for _, batch in spill] == [BATCH_RECORDS, 5]
    assert sorted(value for _, _, value in records(spill)) == list(range(count))


def test_the_combiner_sums_what_one_spill_holds() -> None:
    words = ["a", "b", "a", "c", "a"] * 50
    buffer = MapBuffer(3, memory=PLENTY, resident=still, combine=add)
    (spill,) = spills(buffer, ((word, 1) for word in words))
    assert {key: value for _, key, value in records(spill)} == Counter(words)
    assert buffer.records == 250
    assert buffer.combiner is not None
    assert buffer.combiner.values_in == 250


def test_a_combiner_keeps_a_buffer_of_few_keys_from_spilling() -> None:
    count = COMBINE_RECORDS + 1000
    buffer = MapBuffer(3, memory=1 << 20, resident=still, combine=add)
    drained = spills(buffer, ((number % 10, 1) for number in range(count)))
    assert len(drained) == 1
    assert sum(value for _, _, value in records(drained[0])) == count == buffer.records


@pytest.mark.parametrize(
    ("distinct", "combine", "grouped"),
    [(100, None, True), (100, add, True), (10**9, None, False), (10**9, add, False)],
)
def test_a_spill_decides_how_the_next_fill_is_held(distinct: int, combine: Any, grouped: bool) -> None:
    buffer = MapBuffer(2, memory=PLENTY, resident=still, combine=combine)
    count = COMBINE_RECORDS + DECIDING_RECORDS
    spills(buffer, ((number * 7919 % distinct, 1) for number in range(count)))
    assert isinstance(buffer._held, Groups) == grouped


def test_mostly_unique_keys_are_combined_all_the_same() -> None:
    pairs = [*((key, 1) for key, _ in unique(DECIDING_RECORDS * 2)), *[("key-1", 1)] * 5]
    (spill,) = spills(MapBuffer(2, memory=PLENTY, resident=still, combine=add), pairs)
    assert {key: value for _, key, value in records(spill)} == Counter(key for key, _ in pairs)
    assert len(records(spill)) == DECIDING_RECORDS * 2


def test_a_combiner_that_does_not_reduce_loses_nothing() -> None:
    buffer = MapBuffer(
        2, memory=1 << 20, resident=still, combine=lambda key, values: ((key, v) for v in values)
    )
    pairs = repeated(DECIDING_RECORDS * 3)
    found = [record for spill in spills(buffer, pairs) for record in records(spill)]
    assert Counter((key, value) for _, key, value in found) == Counter(pairs)


def test_equal_keys_of_different_types_are_one_group() -> None:
    (spill,) = spills(MapBuffer(4, memory=PLENTY, resident=still), [(1, "a"), (1.0, "b"), (True, "c")])
    ((_, batch),) = spill
    assert batch == Batch([1], [3], ["a", "b", "c"])


@pytest.mark.parametrize("filler", [[], [(f"{n}", 0) for n in range(DECIDING_RECORDS + 100)]])
def test_keys_without_an_order_in_one_partition_are_named(filler: list[tuple[str, int]]) -> None:
    buffer = MapBuffer(1, memory=PLENTY, resident=still)
    with pytest.raises(KeysNotComparable, match=r"5 \(int\)"):
        spills(buffer, [*filler, ("a", 1), (5, 1)])


def test_none_is_a_key_however_pairs_are_held() -> None:
    def in_first(key: Any, partitions: int) -> int:
        return 0 if key is None else 1

    pairs = [*unique(DECIDING_RECORDS * 2), (None, 1), (None, 2)]
    (spill,) = spills(MapBuffer(2, memory=PLENTY, resident=still, partition=in_first), pairs)
    assert sorted(value for partition, key, value in records(spill) if partition == 0) == [1, 2]


@pytest.mark.parametrize("order", ["key", "key-and-value"])
@pytest.mark.parametrize("data", [repeated, unique])
def test_values_are_sorted_when_asked_for(order: Order, data: Callable[[int], list[tuple[str, int]]]) -> None:
    pairs = [(key, -value) for key, value in data(DECIDING_RECORDS + 5000)] * 2
    (spill,) = spills(MapBuffer(2, memory=PLENTY, resident=still, order=order), pairs)
    by_key = defaultdict(list)
    for _, key, value in records(spill):
        by_key[key].append(value)
    assert all(values == sorted(values) for values in by_key.values()) or order == "key"


def test_values_without_an_order_are_named_when_sorted_values_are_asked_for() -> None:
    buffer = MapBuffer(1, memory=PLENTY, resident=still, order="key-and-value")
    with pytest.raises(ValueNotSupported, match="of the key 'k'"):
        spills(buffer, [("k", 1), ("k", "one")])


@pytest.mark.parametrize("before", [0, 5000, DECIDING_RECORDS * 2])
@pytest.mark.parametrize("data", [repeated, unique])
@pytest.mark.parametrize("wrong", [7, None, "word", ("k",), ("k", 1, 2), {"k": 1}])
def test_what_is_no_pair_is_shown(before: int, data: Callable[[int], list[Any]], wrong: Any) -> None:
    buffer = MapBuffer(2, memory=PLENTY, resident=still)
    with pytest.raises(UserCodeError) as caught:
        buffer.fill(iter([*data(before), wrong]))
    assert str(caught.value).startswith("map must yield (key, value) pairs")
    assert repr(wrong) in str(caught.value)


def test_a_word_of_two_letters_is_no_pair() -> None:
    with pytest.raises(UserCodeError, match="'ab'"):
        MapBuffer(2, memory=PLENTY, resident=still).fill(iter(["ab"]))


def test_lists_of_two_are_pairs() -> None:
    pairs = [[key, value] for key, value in unique(DECIDING_RECORDS * 2)]
    (spill,) = spills(MapBuffer(2, memory=PLENTY, resident=still), pairs)
    assert len(records(spill)) == len(pairs)


@pytest.mark.parametrize("before", [0, 5000])
def test_an_unhashable_key_is_refused_while_filling(before: int) -> None:
    with pytest.raises(KeyNotSupported, match="type list"):
        MapBuffer(2, memory=PLENTY, resident=still).fill(iter([*repeated(before), (["k"], 1)]))


def test_a_value_that_cannot_be_carried_is_refused_at_the_first_record() -> None:
    with pytest.raises(ValueNotSupported, match="for the key 'k'"):
        MapBuffer(2, memory=PLENTY, resident=still).fill(iter([("k", {1, 2})]))


@pytest.mark.parametrize("before", [0, 1, 5000, DECIDING_RECORDS * 2])
@pytest.mark.parametrize("data", [repeated, unique])
@pytest.mark.parametrize("raised", [TypeError("mine"), ValueError("mine"), KeyError("mine")])
def test_what_the_users_code_raises_passes_through_unchanged(
    before: int, data: Callable[[int], list[Any]], raised: Exception
) -> None:
    def mapped() -> Iterator[Any]:
        yield from data(before)
        raise raised

    with pytest.raises(type(raised)) as caught:
        MapBuffer(2, memory=PLENTY, resident=still).fill(mapped())
    assert caught.value is raised


def test_the_buffer_spills_before_its_budget_is_passed_without_any_growth_to_see() -> None:
    pairs = ((f"{number:020d}", b"v" * 1000) for number in range(5000))
    buffer = MapBuffer(2, memory=1 << 20, resident=still)
    drained = spills(buffer, ((key, value[:999] + b"!") for key, value in pairs))
    held = [sum(len(batch.values) for _, batch in spill) * 1200 for spill in drained]
    assert max(held) <= 1 << 20
    assert sorted(held)[-2] > 0.7 * (1 << 20)


def test_the_buffer_spills_when_the_process_grows_more_than_it_counts() -> None:
    grown = iter(range(0, 1 << 40, 1 << 16))
    buffer = MapBuffer(2, memory=1 << 20, resident=lambda: next(grown))
    assert buffer.fill(iter(repeated(10_000_000 // 50)))


def test_a_drained_buffer_is_empty() -> None:
    buffer = MapBuffer(2, memory=PLENTY, resident=still)
    assert not buffer.fill(iter(repeated(10)))
    assert list(buffer.drain())
    assert not buffer.fill(iter(()))
    assert list(buffer.drain()) == []
    assert buffer.records == 10
