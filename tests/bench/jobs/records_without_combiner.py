"""The word count through the record API, where every single pair goes through the shuffle."""

from collections.abc import Iterable, Iterator

from blfs_mr import Job


class WordCount(Job):
    def map(self, record: str) -> Iterator[tuple[str, int]]:
        for word in record.split():
            yield word, 1

    def reduce(self, key: str, values: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield key, sum(values)
