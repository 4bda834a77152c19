"""A columnar map attempt: tables in, one published map output out.

User ``map_batch`` -> rows brought together by partition -> one record batch after the other into leased
shared files -> one flush -> published. Rows are not sorted here: the reducer sorts what it was asked to,
all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from blfs_mr import linux
from blfs_mr.arrow.blocks import encode_table
from blfs_mr.arrow.dividing import ByBoundaries, ByHash, Rule, divide
from blfs_mr.arrow.reading import TABLE_SIZE, read_tables
from blfs_mr.arrow.settings import be_one_slot, release_memory
from blfs_mr.arrow.yielded import Conformer, tables_of
from blfs_mr.blocking_link import BlockingLink
from blfs_mr.formats.reading import open_split
from blfs_mr.job import Job, LoadedJob, instantiate
from blfs_mr.model import MAP_PEAK, InputSplit, JobSpec
from blfs_mr.taskrun.access import Access
from blfs_mr.taskrun.mapper import WRITE_BUFFERS, MapOutputWriter
from blfs_mr.volume.layout import Volume
from blfs_mr.wire.messages.child import PublishMapOutput, RunMapTask

if TYPE_CHECKING:
    from blfs_mr.taskrun.attempt import Progress

HELD_SHARE = 0.6
"""Of what is left of the budget, for rows that wait to be written; the rest is for the tables at hand."""

LEAST_HELD = 8 << 20
"""Bytes of rows that wait in any case: fewer would make a shared file of every table."""


def run_map(
    task: RunMapTask,
    loaded: LoadedJob,
    spec: JobSpec,
    link: BlockingLink,
    progress: Progress,
    access: Access,
) -> None:
    """Run one map attempt to its publication."""
    be_one_slot()
    job = instantiate(loaded.job_class, spec.params)
    job.split, job.source = open_split(task.split, spec.settings.input_format), task.split.source
    progress.doing = "setup"
    job.setup()
    mapped = Mapped(job, task.split, spec.settings.input_format, progress)
    rows = RowBuffer(_rule(job, spec), Conformer(job.batch_schema, job.keys))
    output = TableOutputWriter(link, access.volume(task.own_volume), task, spec)
    resident = linux.ResidentMeter()
    left = spec.settings.memory - resident() - WRITE_BUFFERS
    limit = max(int(left * HELD_SHARE), LEAST_HELD)
    for table in mapped.tables():
        rows.add(table)
        if rows.held >= limit:
            output.write_tables(rows.drain())
            release_memory()
    progress.doing, progress.culprit = "cleanup", None
    job.cleanup()
    progress.doing = "map_batch"
    output.write_tables(rows.drain())
    files = output.flush()
    counters = {
        "map.records_in": mapped.rows_in,
        "map.bytes_in": task.split.length,
        "map.records_out": rows.rows,
        "combine.records_in": 0,
        "combine.records_out": 0,
        "map.records_spilled": sum(file.records for file in files),
        "map.bytes_spilled": sum(file.length for file in files),
        MAP_PEAK: linux.peak_memory(),
        **job.counters,
    }
    link.request(PublishMapOutput(task.attempt, files, counters))


def _rule(job: Job, spec: JobSpec) -> Rule:
    partitions = spec.settings.reduce_tasks
    if spec.boundaries:
        return ByBoundaries(job.keys[0], spec.boundaries, partitions)
    return ByHash(job.keys, partitions)


class Mapped:
    """Hands tables to user code, and remembers the one at hand."""

    def __init__(self, job: Job, split: InputSplit, input_format: str, progress: Progress) -> None:
        self.rows_in = 0
        self._job, self._split, self._format, self._progress = job, split, input_format, progress

    def tables(self) -> Iterator[pa.Table]:
        """What ``map_batch`` yields for every table of the split."""
        shown: pa.Table | None = None
        self._progress.doing = "map_batch"
        self._progress.culprit = lambda: shown_table(shown, self._split.path) if shown is not None else None
        for table in read_tables(self._split, self._format, self._job.read_columns):
            shown = table
            self.rows_in += table.num_rows
            yield from tables_of(self._job.map_batch(table), "map_batch")


class ShownTable:
    """How a report names a table: its place and columns, and none of its rows, which may be millions."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def shown_table(table: pa.Table, place: str) -> ShownTable:
    """``table``, of ``place``, for a report."""
    columns = ", ".join(f"{field.name}: {field.type}" for field in table.schema)
    return ShownTable(f"a table of {table.num_rows} rows of {place} ({columns})")


class RowBuffer:
    """Rows brought together by partition, until they are written."""

    def __init__(self, rule: Rule, conformer: Conformer) -> None:
        self.rows = self.held = 0
        self._rule, self._conformer = rule, conformer
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._partitions: dict[int, list[pa.Table]] = {}

    def add(self, table: pa.Table) -> None:
        """Take ``table``. Raises UserCodeError for one that does not fit the others."""
        table = self._conformer.conform(table)
        if not table.num_rows:
            return
        size = max(table.nbytes, 1)
        self.rows += table.num_rows
        self.held += size
        self._waiting.append(table)
        self._waiting_bytes += size
        if self._waiting_bytes >= TABLE_SIZE:
            self._divide()

    def drain(self) -> Iterator[tuple[int, pa.Table]]:
        """Give everything out, in rising order of partitions."""
        self._divide()
        for partition in sorted(self._partitions):
            yield partition, pa.concat_tables(self._partitions.pop(partition))
        self.held = 0

    def _divide(self) -> None:
        if self._waiting:
            table = pa.concat_tables(self._waiting)
            self._waiting, self._waiting_bytes = [], 0
            for partition, rows in divide(table, self._rule):
                self._partitions.setdefault(partition, []).append(rows)


class TableOutputWriter(MapOutputWriter):
    """Puts tables into leased shared files, and flushes them all at once."""

    def __init__(self, link: BlockingLink, volume: Volume, task: RunMapTask, spec: JobSpec) -> None:
        super().__init__(link, volume, task, spec)
        self._compression = spec.settings.compression

    def write_tables(self, drained: Iterator[tuple[int, pa.Table]]) -> None:
        """Write ``drained``, the tables of rising partitions, into shared files of their own."""
        for partition, table in drained:
            for block in encode_table(table, self._block_size, self._compression):
                self._append(partition, block)
        self._finish_file()
