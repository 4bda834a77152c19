"""The shuffle: records in, sorted and grouped records out. Pure: no I/O, no clock, no chance.

A *record* is one (key, value) pair. A :class:`Batch` holds records sorted by key, column by column. A *run*
is an iterator of batches in key order, in which equal keys may stand in neighbouring positions and batches;
merging takes runs and gives a run, so merges can be stacked.

Map side: :class:`MapBuffer` partitions, combines and sorts, :func:`encode_in_blocks` makes payloads of spill
blocks. Reduce side: :func:`decode_batch`, :func:`merge_runs`, :class:`GroupCursor`.
"""

from blfs_mr.shuffle.batch import Batch, Order, Run
from blfs_mr.shuffle.blocks import EncodedBlock, encode_in_blocks
from blfs_mr.shuffle.buffer import MapBuffer
from blfs_mr.shuffle.columns import decode_batch, encode_batch
from blfs_mr.shuffle.combine import Combiner, combine_run
from blfs_mr.shuffle.groups import GroupCursor
from blfs_mr.shuffle.memory import batch_size
from blfs_mr.shuffle.merge import merge_runs, runs_to_merge_first, sort_batches
from blfs_mr.shuffle.partition import Partitioner, partition_of

__all__ = [
    "Batch",
    "Combiner",
    "EncodedBlock",
    "GroupCursor",
    "MapBuffer",
    "Order",
    "Partitioner",
    "Run",
    "batch_size",
    "combine_run",
    "decode_batch",
    "encode_batch",
    "encode_in_blocks",
    "merge_runs",
    "partition_of",
    "runs_to_merge_first",
    "sort_batches",
]
