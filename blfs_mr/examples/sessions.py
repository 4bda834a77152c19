"""Divide the events of each user into sessions: visits without a pause longer than some minutes.

::

    python -m blfs_mr.submit blfs_mr/examples/sessions.py EVENTS.csv --param pause=1800

Input: CSV files with a header that names ``user``, ``time`` (seconds) and ``page``. Output: lines of JSON,
``[user, {"start": ..., "seconds": ..., "pages": [...]}]``, the sessions of a user in the order of time.
"""

from collections.abc import Iterable, Iterator

from blfs_mr import Job, Param

Session = dict[str, float | list[str]]


class Sessions(Job):
    input_format = "csv-dict"
    output_format = "jsonl"
    sort_values = True  # the events of a user arrive in the order of time, however many they are

    pause = Param(float, default=1800.0, help="seconds without an event after which a session is over")

    def map(self, record: dict[str, str]) -> Iterator[tuple[str, tuple[float, str]]]:
        yield record["user"], (float(record["time"]), record["page"])

    def reduce(self, key: str, values: Iterable[tuple[float, str]]) -> Iterator[tuple[str, Session]]:
        start = before = 0.0
        pages: list[str] = []
        for time, page in values:
            if pages and time - before > self.pause:
                yield key, {"start": start, "seconds": before - start, "pages": pages}
                pages = []
            if not pages:
                start = time
            pages.append(page)
            before = time
        yield key, {"start": start, "seconds": before - start, "pages": pages}
