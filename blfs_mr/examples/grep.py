"""Find the lines that match a pattern, and count how often each of them occurs.

::

    python -m blfs_mr.submit blfs_mr/examples/grep.py LOGS --param pattern='ERROR|timeout'

Input: text. Output: ``line<TAB>count``. The counter ``user.matches`` tells how many lines matched in all.
"""

import re
from collections.abc import Iterable, Iterator

from blfs_mr import Job, Param


class Grep(Job):
    pattern = Param(str, help="a regular expression, as in Python's re module")
    ignore_case = Param(bool, default=False, help="take upper and lower case as the same")

    def setup(self) -> None:
        self.search = re.compile(self.pattern, re.IGNORECASE if self.ignore_case else 0).search

    def map(self, record: str) -> Iterator[tuple[str, int]]:
        if self.search(record):
            self.count("matches")
            yield record, 1

    def combine(self, key: str, values: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield key, sum(values)

    def reduce(self, key: str, values: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield key, sum(values)
