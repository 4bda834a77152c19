"""The gauge says when to spill, by a process whose resident memory the tests make up."""

from __future__ import annotations

import sys

import pytest

from blfs_mr.shuffle.batch import Batch
from blfs_mr.shuffle.memory import LONGEST_STRETCH, STRETCHES, MemoryGauge, batch_size, mean_size


class Process:
    """A process of 1000 bytes before anything is held."""

    def __init__(self) -> None:
        self.bytes = 1000

    def resident(self) -> int:
        return self.bytes


@pytest.fixture
def process() -> Process:
    return Process()


def test_counted_bytes_make_a_spill_due_where_memory_is_reused(process: Process) -> None:
    gauge = MemoryGauge(100, process.resident)
    gauge.start_fill()
    gauge.add(99)
    assert not gauge.spill_is_due(0)
    gauge.add(1)
    assert gauge.spill_is_due(0)


def test_growth_makes_a_spill_due_before_the_count_does(process: Process) -> None:
    gauge = MemoryGauge(100, process.resident)
    gauge.start_fill()
    gauge.add(70)
    process.bytes += 99
    assert not gauge.spill_is_due(0)
    process.bytes += 1
    assert gauge.spill_is_due(0)


def test_the_first_fill_calibrates_the_later_ones(process: Process) -> None:
    gauge = MemoryGauge(100, process.resident)
    gauge.start_fill()
    gauge.add(80)
    process.bytes += 100
    assert gauge.spill_is_due(0)
    gauge.start_fill()  # all of it is reused: the process does not grow
    gauge.add(79)
    assert not gauge.spill_is_due(0)
    gauge.add(1)
    assert gauge.spill_is_due(0)


def test_what_draining_needs_is_kept_free(process: Process) -> None:
    gauge = MemoryGauge(100, process.resident)
    gauge.start_fill()
    gauge.add(80)
    assert not gauge.spill_is_due(19)
    assert gauge.spill_is_due(20)


def test_memory_that_fragmentation_keeps_does_not_spill_every_record(process: Process) -> None:
    gauge = MemoryGauge(160, process.resident)
    gauge.start_fill()
    process.bytes += 170
    gauge.add(150)
    assert gauge.spill_is_due(0)
    gauge.start_fill()
    gauge.add(1)
    assert not gauge.spill_is_due(0)
    process.bytes += 10  # now this fill is part of the cause
    assert gauge.spill_is_due(0)


def test_a_stretch_is_a_small_part_of_the_budget() -> None:
    gauge = MemoryGauge(64_000, lambda: 0)
    assert gauge.stretch(100) * 100 <= 64_000 / STRETCHES
    assert gauge.stretch(10**9) == 1
    assert MemoryGauge(1 << 40, lambda: 0).stretch(0) == LONGEST_STRETCH


def test_an_object_met_twice_counts_once() -> None:
    shared = "x" * 1000
    assert mean_size([shared] * 10) == pytest.approx(mean_size([shared]) / 10)
    assert mean_size([]) == 0


def test_containers_count_with_their_contents() -> None:
    rows = [bytes([n % 250]) * 1000 for n in range(100)]
    whole = sum(map(sys.getsizeof, rows))
    for container in (rows, tuple(rows), dict.fromkeys(rows)):
        assert mean_size([container]) > 0.95 * whole


def test_a_batch_counts_with_its_lists_and_everything_in_them() -> None:
    keys = [f"key {number}" for number in range(5000)]
    values = [bytes([number % 250]) * (number % 200) for number in range(10_000)]
    batch = Batch(keys, [2] * 5000, values)
    whole = sum(map(sys.getsizeof, (*keys, *values, batch.keys, batch.values, [2] * 5000)))
    assert batch_size(batch) == pytest.approx(whole, rel=0.15)
    assert batch_size(Batch([], None, [])) == 0
