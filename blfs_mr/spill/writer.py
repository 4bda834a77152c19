"""Writes one run into one leased shared file, in place and never beyond it.

The writer takes payloads in order of partition and says when one does not fit any more; the caller then
finishes this file and goes on in the next one, whose run stands by itself. The index is written last, so that
an unfinished file still shows the earlier lease or nothing, and is never mistaken for a published one.

It does not flush. Flushing is done once for a whole map output (file, then device), and a failed flush
condemns the attempt, which only the caller can see to.
"""

from __future__ import annotations

from blfs_mr.errors import InternalError, PoolExhausted, VolumeError
from blfs_mr.linux import PAGE, align_down, align_up, write_all
from blfs_mr.model import Lease, PublishedFile, SharedFile
from blfs_mr.spill.blocks import BlockSealer, chain, next_block_position
from blfs_mr.spill.format import (
    BLOCK_HEADER_SIZE,
    PAGE_SIZE,
    FileIdentity,
    SegmentEntry,
    header_digest,
    index_pages,
    pack_index,
    payload_capacity,
)

WRITE_SIZE = 1 << 20
"""Bytes gathered before they are written: large enough that system calls cost nothing beside the copying,
small enough to stand beside a mapper's own buffer. One payload more may be held."""


class SharedFileWriter:
    """One run in the making, in the file of ``lease``, whose descriptor stays the caller's.

    Raises VolumeError for a shared file that is not aligned, PoolExhausted for one too small for the index
    of ``partitions`` partitions and a single block.
    """

    def __init__(self, fd: int, lease: Lease, partitions: int) -> None:
        shared_file = lease.shared_file
        if shared_file.offset % PAGE or shared_file.size % PAGE:
            raise VolumeError(f"{shared_file} is not aligned to {PAGE} bytes; format the volume again")
        self.payload_capacity = payload_capacity(shared_file.size, partitions)
        if partitions < 1 or self.payload_capacity == 0:
            raise PoolExhausted(
                f"a shared file of {shared_file.size} bytes cannot hold the index of {partitions} partitions "
                f"({index_pages(partitions) * PAGE_SIZE} bytes) and data"
            )
        self._fd = fd
        self._lease = lease
        self._partitions = partitions
        self._identity = FileIdentity.from_lease(lease)
        self._sealer = BlockSealer(self._identity)
        self._entries: dict[int, SegmentEntry] = {}
        self._gathered = bytearray()
        self._gathered_from = index_pages(partitions) * PAGE_SIZE
        self._end = self._gathered_from
        self._partition = -1
        self._finished = False

    @property
    def shared_file(self) -> SharedFile:
        """What it writes to."""
        return self._lease.shared_file

    def append(self, partition: int, payload: bytes | bytearray | memoryview, records: int) -> bool:
        """Add a block of ``records`` records to ``partition``; False, and nothing done, when it does not fit.

        Partitions come in order. The payload is copied before the call returns. Raises OSError.
        """
        length = memoryview(payload).nbytes
        if self._finished or not self._partition <= partition < self._partitions:
            raise InternalError(f"partition {partition} after {self._partition} of {self._partitions}")
        if records < 1 or length < 1:
            raise InternalError(f"a block of {records} records in {length} bytes")
        start = next_block_position(self._end)
        room = self._lease.shared_file.size - start - BLOCK_HEADER_SIZE
        if length > min(room, self.payload_capacity):
            return False
        before = self._entries.get(partition)
        entry = before or SegmentEntry(start, 0, 0, 0, 0, 0)
        header, checksum = self._sealer.seal(
            payload, records=records, partition=partition, sequence=entry.blocks, offset=start
        )
        self._gathered += bytes(start - self._end)
        self._gathered += header
        self._gathered += payload
        self._end = start + BLOCK_HEADER_SIZE + length
        self._partition = partition
        self._entries[partition] = SegmentEntry(
            offset=entry.offset,
            length=self._end - entry.offset,
            records=entry.records + records,
            blocks=entry.blocks + 1,
            largest=max(entry.largest, length),
            checksum=chain(entry.checksum, checksum),
        )
        if len(self._gathered) >= WRITE_SIZE:
            self._write_whole_pages()
        return True

    def finish(self) -> PublishedFile:
        """Write what is left, then the index. What is returned holds once the caller has flushed it.

        Raises OSError.
        """
        if self._finished:
            raise InternalError("a run is finished once")
        self._finished = True
        # Zeros up to the page's end: writing part of a page makes the kernel read the rest of it first.
        self._gathered += bytes(align_up(self._end) - self._end)
        self._write_whole_pages()
        records = sum(entry.records for entry in self._entries.values())
        shared_file = self._lease.shared_file
        index = pack_index(
            self._identity,
            partitions=self._partitions,
            size=shared_file.size,
            length=self._end,
            records=records,
            entries=self._entries,
        )
        write_all(self._fd, index, shared_file.offset)
        return PublishedFile(self._lease, header_digest(index[:PAGE_SIZE]), self._end, records)

    def _write_whole_pages(self) -> None:
        length = align_down(len(self._gathered))
        with memoryview(self._gathered) as view:
            write_all(self._fd, view[:length], self._lease.shared_file.offset + self._gathered_from)
        del self._gathered[:length]
        self._gathered_from += length
