"""Join two Parquet inputs: orders with the customers that made them.

::

    python -m blfs_mr.submit blfs_mr/examples/arrow_join.py CUSTOMERS.parquet ORDERS.parquet -o JOINED

Customers have the columns ``customer`` and ``name``, orders ``customer`` and ``amount``. Output: a row for
each order of a known customer, with all three.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from blfs_mr import Job

CUSTOMERS, ORDERS = 0, 1


class ArrowJoin(Job):
    input_format = "parquet"
    output_format = "parquet"
    keys = ("customer",)
    batch_schema = pa.schema(
        {"customer": pa.int64(), "source": pa.int8(), "name": pa.string(), "amount": pa.float64()}
    )

    def map_batch(self, table: pa.Table) -> Iterator[pa.Table]:
        yield table.append_column("source", pa.repeat(pa.scalar(self.source, pa.int8()), table.num_rows))

    def reduce_batch(self, table: pa.Table) -> Iterator[pa.Table]:
        customers = table.filter(pc.field("source") == CUSTOMERS).select(["customer", "name"])
        orders = table.filter(pc.field("source") == ORDERS).select(["customer", "amount"])
        yield orders.join(customers, "customer", join_type="inner", use_threads=False).select(
            ["customer", "name", "amount"]
        )
