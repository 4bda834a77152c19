"""The word count through the record API, with a combiner."""

from collections.abc import Iterable, Iterator

from blfs_mr import Job


class WordCount(Job):
    def map(self, record: str) -> Iterator[tuple[str, int]]:
        for word in record.split():
            yield word, 1

    def combine(self, key: str, values: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield key, sum(values)

    def reduce(self, key: str, values: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield key, sum(values)
