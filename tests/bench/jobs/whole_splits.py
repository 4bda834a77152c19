"""The word count over whole splits: what the system costs where user code is as fast as Python allows."""

from collections import Counter
from collections.abc import Iterable, Iterator

from blfs_mr import Job
from blfs_mr.job import Split


class WordCount(Job):
    def map_split(self, split: Split) -> Iterable[tuple[str, int]]:
        return Counter(split.text().split()).items()

    def reduce(self, key: str, values: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield key, sum(values)
