"""Join two tables on their keys (an inner join).

::

    python -m blfs_mr.submit blfs_mr/examples/join.py USERS ORDERS

Input: two files or folders with ``key<TAB>value`` lines; a key may occur any number of times in each. Output:
``key<TAB>["left value", "right value"]``, as JSON, one line for each way to combine them.
"""

from collections.abc import Iterable, Iterator

from blfs_mr import Job


class Join(Job):
    def map(self, record: str) -> Iterator[tuple[str, tuple[int, str]]]:
        key, tab, value = record.partition("\t")
        if tab:
            yield key, (self.source, value)  # the first INPUT argument is source 0, the second 1
        else:
            self.count("lines without a tab")

    def reduce(self, key: str, values: Iterable[tuple[int, str]]) -> Iterator[tuple[str, tuple[str, str]]]:
        left: list[str] = []
        right: list[str] = []
        for source, value in values:
            (right if source else left).append(value)
        for left_value in left:
            for right_value in right:
                yield key, (left_value, right_value)
