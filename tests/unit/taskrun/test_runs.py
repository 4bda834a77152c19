"""Runs within a budget: whatever is held, overflowed and merged, the same records come out in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blfs_mr.errors import BadBlock, InternalError
from blfs_mr.shuffle import Batch, Combiner, Order, Run, decode_batch, encode_in_blocks, merge_runs
from blfs_mr.shuffle.compression import compressor
from blfs_mr.taskrun import runs
from blfs_mr.taskrun.runs import HeldRun, RunStore

KIB, MIB = 1 << 10, 1 << 20

Records = list[tuple[Any, Any]]


def _held(records: Records, block_size: int = 4 * KIB) -> HeldRun:
    ordered = sorted(records)
    batch = Batch([key for key, _ in ordered], None, [value for _, value in ordered])
    blocks = list(encode_in_blocks([batch], block_size, 4 * MIB))
    return HeldRun.in_memory([block.payload for block in blocks], len(records))


def _on_scratch(store: RunStore, run: HeldRun) -> HeldRun:
    scratch = store.new_scratch_run()
    for payload in run.take():
        scratch.append(payload, len(decode_batch(payload)))
    scratch.finish()
    return HeldRun.on_scratch(scratch)


def _records(run: Run) -> Records:
    return [
        (key, value)
        for batch in run
        for key, start, stop in zip(batch.keys, batch.bounds(), batch.bounds()[1:], strict=False)
        for value in batch.values[start:stop]
    ]


def _store(folder: Path, budget: int = 64 * MIB, order: Order = "key", **options: Any) -> RunStore:
    return RunStore(str(folder), budget=budget, block_size=256 * KIB, order=order, **options)


def _sum(key: Any, values: Iterator[int]) -> Iterator[tuple[Any, int]]:
    yield key, sum(values)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.tuples(
            st.booleans(),
            st.lists(st.tuples(st.text("abc", max_size=2), st.integers(0, 99)), min_size=1, max_size=40),
        ),
        max_size=12,
    ),
    budget=st.sampled_from([1, 4 * KIB, 64 * KIB, 64 * MIB]),
    order=st.sampled_from(["key", "key-and-value"]),
    codec=st.sampled_from(["", "lz4"]),
)
def test_every_record_comes_out_once_in_order_whatever_the_budget(
    tmp_path: Path, parts: list[tuple[bool, Records]], budget: int, order: Order, codec: str
) -> None:
    store = _store(tmp_path, budget, order, compress=compressor(codec))
    for to_scratch, records in parts:
        run = _held(records, 64)
        store.add(_on_scratch(store, run) if to_scratch else run)
    given_out = _records(store.merged())
    everything = sorted(record for _, records in parts for record in records)
    assert sorted(given_out) == everything
    if order == "key-and-value":
        assert given_out == everything
    else:
        assert [key for key, _ in given_out] == [key for key, _ in everything]
    assert list(tmp_path.iterdir()) == []


def test_what_fits_stays_in_memory(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for number in range(100):
        store.add(_held([(f"{number}-{index}", index) for index in range(100)]))
    assert len(_records(store.merged())) == 10_000
    assert store.bytes_overflowed == 0


def test_many_runs_are_merged_in_passes_of_bounded_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []

    def counted(merging: list[Run], order: Order) -> Run:
        widths.append(len(merging))
        return merge_runs(merging, order)

    monkeypatch.setattr(runs, "merge_runs", counted)
    store = _store(tmp_path, 256 * KIB)
    for number in range(60):
        store.add(_held([(index, "v" * 90) for index in range(number, 12_000, 60)]))
    assert [key for key, _ in _records(store.merged())] == list(range(12_000))
    assert max(widths) <= 20
    assert len(widths) > 3


def test_two_runs_can_be_merged_even_where_their_blocks_exceed_the_budget(tmp_path: Path) -> None:
    store = _store(tmp_path, 64 * KIB)
    for number in range(5):
        store.add(_held([(number, "v" * 500_000), (number + 10, "w" * 500_000)], 256 * KIB))
    assert [key for key, _ in _records(store.merged())] == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_a_combiner_shrinks_what_overflows(tmp_path: Path) -> None:
    combiner = Combiner(_sum)
    (tmp_path / "plain").mkdir()
    store = _store(tmp_path, 256 * KIB, combiner=combiner)
    plain = _store(tmp_path / "plain", 256 * KIB)
    for target in (store, plain):
        for _ in range(50):
            target.add(_held([(f"key {index:04d}", 1) for index in range(500)]))
    assert store.bytes_overflowed < plain.bytes_overflowed / 2
    totals = {
        key: sum(value for _, value in group)
        for key, group in groupby(_records(store.merged()), itemgetter(0))
    }
    assert totals == {f"key {index:04d}": 50 for index in range(500)}
    assert sum(len(batch) for batch in plain.merged()) == 25_000


def test_sorted_values_are_left_alone_by_the_combiner(tmp_path: Path) -> None:
    combiner = Combiner(_sum)
    store = _store(tmp_path, 4 * KIB, "key-and-value", combiner=combiner)
    for number in range(20):
        store.add(_held([("k", value) for value in range(number, 2000, 20)]))
    assert _records(store.merged()) == [("k", value) for value in range(2000)]
    assert combiner.values_in == 0


def test_a_run_that_holds_less_than_its_index_promises_fails_with_both_figures(tmp_path: Path) -> None:
    store = _store(tmp_path)
    run = _held([(1, 1), (2, 2)])
    run.records = 3
    store.add(run)
    with pytest.raises(BadBlock, match="3 records by its index holds 2"):
        _records(store.merged())


def _losing(merging: list[Run], order: Order) -> Run:
    for batch in merge_runs(merging, order):
        yield batch.cut(0, len(batch) - 1)


@pytest.mark.parametrize("budget", [1, 64 * MIB])
def test_a_merge_that_loses_a_record_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    def lost() -> None:
        store = _store(tmp_path, budget)
        store.add(_held([("a", 1), ("b", 2)]))
        store.add(_held([("c", 3), ("d", 4)]))
        _records(store.merged())

    lost()
    monkeypatch.setattr(runs, "merge_runs", _losing)
    with pytest.raises(InternalError, match=r"a merge of \d records gave out \d"):
        lost()


def test_held_runs_are_let_go_as_they_are_taken(tmp_path: Path) -> None:
    run = _held([(index, "v" * 1000) for index in range(100)])
    blocks = len(run.payloads)
    taking = run.take()
    next(taking)
    assert len(run.payloads) == blocks - 1


def test_room_is_what_is_left_of_the_share_for_held_runs(tmp_path: Path) -> None:
    store = _store(tmp_path, MIB)
    run = _held([(index, "v" * 100) for index in range(100)])
    store.add(run)
    assert store.room == store.capacity - run.size
    store.overflow()
    assert store.room == store.capacity
