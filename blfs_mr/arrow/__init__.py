"""Columnar jobs: ``map_batch`` and ``reduce_batch`` over pyarrow tables, on the same engine as records.

Leases, spill format, verification, direct reads, drains and record counts (rows, here) are those of every
job; what differs is what stands in a block, and who divides and sorts it. Only a task of a columnar job
imports this package, by name from ``blfs_mr.taskrun.attempt``, so that no other pays for pyarrow or needs
it installed.

Rooms: ``reading`` and ``writing`` are the formats of inputs and results, ``blocks`` the payloads of spill
blocks, ``hashing`` and ``dividing`` decide which rows meet, ``held`` and ``buckets`` keep a partition
within its memory, ``mapper`` and ``reducer`` are the two kinds of attempts, ``sampling`` finds the
boundaries of a total order.
"""
