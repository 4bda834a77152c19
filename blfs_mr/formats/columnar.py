"""The formats of columnar jobs, as far as submitters need to know them; ``blfs_mr.arrow`` reads and writes
them.

A split of them is a range of bytes like any other, made without looking into the file: see
``blfs_mr.arrow.reading`` for which rows it stands for. So pyarrow has to be installed, but is not imported
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blfs_mr.errors import UsageError
from blfs_mr.formats.compression import InputStream
from blfs_mr.formats.outputs import OutputWriter
from blfs_mr.formats.reading import InputFormat
from blfs_mr.job.columnar import NEEDS_PYARROW, is_pyarrow_missing


class _Columnar(InputFormat):
    """Its rows come as tables, never as records."""

    name: str

    def __init__(self, argument: str = "") -> None:
        super().__init__(argument)
        if is_pyarrow_missing():
            raise UsageError(f"tables need {NEEDS_PYARROW}")

    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        raise UsageError(f"the input format {self.name} has tables: define map_batch in place of map")

    def parse(self, piece: bytes) -> list[Any]:
        raise UsageError(f"the input format {self.name} has tables, no records")


class Parquet(_Columnar):
    """Reads ``parquet``."""

    name = "parquet"


class Arrow(_Columnar):
    """Reads ``arrow``: files of the Arrow IPC format, also known as Feather, version 2."""

    name = "arrow"


class TableFile(OutputWriter):
    """In the place of a writer of records, which ``parquet`` and ``arrow`` do not have."""

    def format(self, batch: list[tuple[Any, Any]]) -> bytes:
        raise UsageError("this output format takes tables: define reduce_batch in place of reduce")
