"""What a columnar job must state, so that it fails when it is submitted and not in its first task."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from blfs_mr.job.api import Job, overrides

INPUT_FORMATS = ("parquet", "arrow", "binary")
OUTPUT_FORMATS = ("parquet", "arrow", "binary")

NEEDS_PYARROW = (
    "the package pyarrow, which is not installed here: pip install 'blfs-mr[arrow]', on every worker as well"
)

_OF_RECORDS = ("map", "map_split", "reduce", "combine", "partition")


def problem_with_columnar(job_class: type[Job]) -> str | None:
    """Return why ``job_class``, which defines one of the methods for tables, cannot run; None if it can."""
    for method, other in (("map_batch", "reduce_batch"), ("reduce_batch", "map_batch")):
        if not overrides(job_class, method):
            return f"defines {other}(self, table) but no {method}(self, table); a columnar job has both"
    if mixed := [method for method in _OF_RECORDS if overrides(job_class, method)]:
        return f"defines {mixed[0]} beside map_batch; a job works on tables or on records"
    if not _are_names(job_class.keys) or not job_class.keys:
        return f'needs the columns by which rows meet, as in keys = ["column"]; it has {job_class.keys!r}'
    if job_class.read_columns is not None and not _are_names(job_class.read_columns):
        return f"needs column names or None as read_columns; it has {job_class.read_columns!r}"
    for setting, known in (("input_format", INPUT_FORMATS), ("output_format", OUTPUT_FORMATS)):
        name = getattr(job_class, setting)
        if not isinstance(name, str) or name.partition(":")[0] not in known:
            return f"works on tables, so its {setting} is one of {', '.join(known)}, not {name!r}"
    if job_class.sort_values:
        return "works on tables, which have no values to sort: write sort_batches in place of sort_values"
    if is_pyarrow_missing():
        return f"works on tables, for which it needs {NEEDS_PYARROW}"
    return None


def is_pyarrow_missing() -> bool:
    """Tell whether pyarrow cannot be imported, without the time that importing it takes."""
    return find_spec("pyarrow") is None


def _are_names(given: Sequence[str]) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)
