"""Is this the sorted input? For 100-byte records with 10-byte keys, as ``valsort`` of the sort benchmarks.

What is compared is the number of records and the sum of their checksums, which no order changes; so neither
input nor output has to fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from xxhash import xxh3_64_intdigest

from blfs_mr.generate import RECORD_KEY_SIZE, RECORD_SIZE

CHUNK = 10_000 * RECORD_SIZE
"""Bytes read at a time."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in some files, read one after the other."""

    records: int
    checksum: int
    in_order: bool


def summarize(paths: Iterable[Path]) -> Summary:
    """Read all records. Raises ValueError for a file that does not consist of whole ones."""
    records = checksum = 0
    in_order, before = True, b""
    for chunk in _chunks(paths):
        found = [chunk[start : start + RECORD_SIZE] for start in range(0, len(chunk), RECORD_SIZE)]
        keys = [before, *(record[:RECORD_KEY_SIZE] for record in found)]
        in_order = in_order and all(left <= right for left, right in pairwise(keys))
        before = keys[-1]
        records += len(found)
        checksum = (checksum + sum(map(xxh3_64_intdigest, found))) % 2**64
    return Summary(records, checksum, in_order)


def _chunks(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                if len(chunk) % RECORD_SIZE:
                    raise ValueError(f"{path} does not consist of whole records")
                yield chunk
