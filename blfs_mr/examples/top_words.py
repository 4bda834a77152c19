"""Find the words that occur most often. Two steps: count all words, then keep the most frequent.

::

    python -m blfs_mr.submit blfs_mr/examples/top_words.py INPUT --param top=20

Input: text. Output: ``word<TAB>count``, the most frequent first.
"""

import heapq
from collections.abc import Iterable, Iterator

from blfs_mr import Job, Param, Steps

Counted = tuple[int, str]


class CountWords(Job):
    def map(self, record: str) -> Iterator[tuple[str, int]]:
        for word in record.split():
            yield word, 1

    def combine(self, key: str, values: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield key, sum(values)

    reduce = combine


class KeepMostFrequent(Job):
    top = Param(int, default=10, help="how many words to keep")

    def map(self, record: tuple[str, int]) -> Iterator[tuple[None, Counted]]:
        word, count = record
        yield None, (-count, word)  # one key, so one reduce call sees the best of all mappers

    def combine(self, key: None, values: Iterable[Counted]) -> Iterator[tuple[None, Counted]]:
        for counted in heapq.nsmallest(self.top, values):
            yield None, counted

    def reduce(self, key: None, values: Iterable[Counted]) -> Iterator[tuple[str, int]]:
        for minus_count, word in heapq.nsmallest(self.top, values):
            yield word, -minus_count


class TopWords(Steps):
    steps = (CountWords, KeepMostFrequent)
