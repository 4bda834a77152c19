"""Reading ahead: the order of results, how far ahead, and what an error does."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, current_thread, main_thread

import pytest

from blfs_mr.taskrun.ahead import QUEUED, ReadAhead, one_ahead


def test_results_come_in_the_order_of_the_items_whichever_is_done_first() -> None:
    second_done = Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(10), "the second item waits for the first"
        if item == 1:
            second_done.set()
        return item * 10

    ahead = ReadAhead([work, work])
    assert list(ahead.map(range(50))) == [item * 10 for item in range(50)]
    ahead.close()


def test_no_more_is_begun_than_fits_into_the_queue() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    ahead = ReadAhead([lambda item: item] * 3)
    results = ahead.map(items())
    for position in range(20):
        assert next(results) == position
        assert len(taken) <= position + 1 + 3 * QUEUED
    ahead.close()


def test_a_single_item_needs_no_thread() -> None:
    ahead = ReadAhead([lambda item: current_thread() is main_thread()] * 4)
    assert list(ahead.map(["only"])) == [True]
    assert list(ahead.map([])) == []


def test_an_error_is_raised_where_its_result_would_have_been() -> None:
    def work(item: int) -> float:
        return 1 / item

    ahead = ReadAhead([work, work])
    results = ahead.map([1, 2, 0, 4])
    assert [next(results), next(results)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    ahead.close()


def test_each_item_is_begun_before_the_one_before_it_is_used() -> None:
    begun: list[int] = []
    found = [(item, len(begun)) for item in one_ahead([0, 1, 2], begun.append)]
    assert found == [(0, 2), (1, 3), (2, 3)]
    assert list(one_ahead([], begun.append)) == []
