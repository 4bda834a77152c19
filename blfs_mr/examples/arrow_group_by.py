"""Sum a column of Parquet files by another one: the columnar form of counting words.

::

    python -m blfs_mr.submit blfs_mr/examples/arrow_group_by.py SALES.parquet -o TOTALS -p by=shop -p
    of=amount

Output: Parquet files with the column given as ``by`` and, for each of its values, the sum and number of rows.
"""

from collections.abc import Iterator

import pyarrow as pa

from blfs_mr import Job, Param


class ArrowGroupBy(Job):
    input_format = "parquet"
    output_format = "parquet"
    keys = ("group",)

    by = Param(str, help="the column to group by")
    of = Param(str, help="the column to sum")

    def map_batch(self, table: pa.Table) -> Iterator[pa.Table]:
        # Summed here already, so that what is shuffled has a row per group and table.
        yield (
            table.select([self.by, self.of])
            .rename_columns(["group", "value"])
            .group_by("group", use_threads=False)
            .aggregate([("value", "sum"), ("value", "count")])
        )

    def reduce_batch(self, table: pa.Table) -> Iterator[pa.Table]:
        sums = [("value_sum", "sum"), ("value_count", "sum")]
        totals = table.group_by("group", use_threads=False).aggregate(sums)
        yield totals.select(["group", "value_sum_sum", "value_count_sum"]).rename_columns(
            [self.by, "sum", "rows"]
        )
