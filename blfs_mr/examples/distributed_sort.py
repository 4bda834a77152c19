"""Sort fixed-size records: the parts of the output, one after the other, are the sorted input.

::

    blfs-mr input generate --kind records RECORDS 1GiB
    python -m blfs_mr.submit blfs_mr/examples/distributed_sort.py RECORDS -o SORTED

Input: 100-byte records whose first 10 bytes are the key. Output: the same records, sorted by key.
"""

from collections.abc import Iterable, Iterator

from blfs_mr import Job


class DistributedSort(Job):
    input_format = "binary:100"
    output_format = "binary"
    total_order = True

    def map(self, record: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield record[:10], record[10:]

    def reduce(self, key: bytes, values: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for value in values:
            yield key, value
