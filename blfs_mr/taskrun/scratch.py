"""Runs that overflow to a node's private disk.

A run is a sequence of blocks: length and xxh3 checksum (little-endian u32, u64), then the payload. Scratch is
written and read by one process through the page cache; the checksum tells a disk that forgets.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from xxhash import xxh3_64_intdigest

from blfs_mr.errors import ChecksumMismatch, OutputError, TruncatedFile

_HEADER = struct.Struct("<IQ")

WRITE_SIZE = 1 << 20
"""Bytes gathered before a write. One run is written at a time."""

READ_SIZE = 64 << 10
"""Bytes read at once. Many runs are read at a time; the kernel reads ahead into the page cache, which is not
the task's memory, so a larger buffer would save system calls only."""


class ScratchRun:
    """Written once from front to back, then read from front to back.

    Raises OutputError where the disk is full, or fails.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = self.records = self.largest = 0
        try:
            self._file = open(path, "wb", buffering=WRITE_SIZE)  # noqa: SIM115 - closed by finish
        except OSError as error:
            raise self._failed("made", error) from error

    def append(self, payload: bytes | memoryview, records: int) -> None:
        """One more block."""
        length = len(payload)
        try:
            self._file.write(_HEADER.pack(length, xxh3_64_intdigest(payload)))
            self._file.write(payload)
        except OSError as error:
            raise self._failed("written", error) from error
        self.size += _HEADER.size + length
        self.records += records
        self.largest = max(self.largest, length)

    def finish(self) -> None:
        """No more blocks come."""
        try:
            self._file.close()
        except OSError as error:
            raise self._failed("written", error) from error

    def discard(self) -> None:
        """Nothing of it is wanted."""
        self._file.close()
        os.unlink(self.path)

    def payloads(self) -> Iterator[bytes]:
        """The blocks, each verified; the file is deleted as soon as it is open.

        Raises ChecksumMismatch or TruncatedFile for what is not what was written.
        """
        try:
            with open(self.path, "rb", buffering=READ_SIZE) as file:
                os.unlink(self.path)
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
                left = self.size
                while left:
                    header = file.read(_HEADER.size)
                    length, checksum = _HEADER.unpack(header) if len(header) == _HEADER.size else (left, 0)
                    payload = file.read(length)
                    left -= len(header) + len(payload)
                    if len(payload) != length or left < 0:
                        raise TruncatedFile(f"{self.path} does not end where it was written to end")
                    if xxh3_64_intdigest(payload) != checksum:
                        raise ChecksumMismatch(f"a block of {self.path} is not what was written")
                    yield payload
        except OSError as error:
            raise self._failed("read", error) from error

    def _failed(self, what: str, error: OSError) -> OutputError:
        return OutputError(f"the scratch file {self.path} cannot be {what}: {error.strerror}")
