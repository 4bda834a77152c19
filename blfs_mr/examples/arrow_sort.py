"""Sort fixed-size records, a table at a time: the parts of the output, one after the other, are the sorted
input.

::

    blfs-mr input generate --kind records RECORDS 1GiB
    python -m blfs_mr.submit blfs_mr/examples/arrow_sort.py RECORDS -o SORTED

Input: 100-byte records whose first 10 bytes are the key. Output: the same records, sorted by key.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from blfs_mr import Job


class ArrowSort(Job):
    input_format = "binary:100"
    output_format = "binary"
    keys = ("key",)
    total_order = True

    def map_batch(self, table: pa.Table) -> Iterator[pa.Table]:
        yield table.append_column("key", pc.binary_slice(table["record"], 0, 10))

    def reduce_batch(self, table: pa.Table) -> Iterator[pa.Table]:
        yield table.select(["record"])
