"""Some first keys of a columnar job's map output, for the boundaries of a total order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from blfs_mr.arrow.dividing import searchable
from blfs_mr.arrow.hashing import combined
from blfs_mr.arrow.reading import read_tables
from blfs_mr.arrow.settings import be_one_slot
from blfs_mr.arrow.yielded import Conformer, tables_of
from blfs_mr.formats.reading import open_split
from blfs_mr.job import Job, instantiate
from blfs_mr.model import InputSplit, Param


def keys_of(
    job_class: type[Job], params: Mapping[str, Param], split: InputSplit, input_format: str, most: int
) -> list[Any]:
    """Up to ``most`` first keys of what ``map_batch`` yields for the first table of ``split``; no nulls, no
    NaNs.

    A whole table is read, since a file's row groups are not entered in the middle; keys are taken from all
    over it.
    """
    be_one_slot()
    job = instantiate(job_class, params)
    job.split, job.source = open_split(split, input_format), split.source
    job.setup()
    conformer = Conformer(job.batch_schema, job.keys)
    for table in read_tables(split, input_format, job.read_columns):
        yielded = [conformer.conform(made) for made in tables_of(job.map_batch(table), "map_batch")]
        if not any(made.num_rows for made in yielded):
            continue
        column = searchable(combined(pa.concat_tables(yielded)[job.keys[0]])).drop_null()
        if pa.types.is_floating(column.type):
            column = column.filter(pc.invert(pc.is_nan(column)))
        step = -(-len(column) // most) or 1
        keys: list[Any] = column.take(pa.array(range(0, len(column), step), pa.int64())).to_pylist()
        return keys
    return []
