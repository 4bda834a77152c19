"""Runs that overflow to a node's private disk.

A run is a sequence of blocks: length and xxh3 checksum (little-endian u32, u64), then the payload. Scratch is
written and read by one process through the page cache; the checksum tells a disk that forgets.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from xxhash import xxh3_64_intdigest

from blfs_mr.errors import ChecksumMismatch, TruncatedFile

_HEADER = struct.Struct("<IQ")

BUFFER_SIZE = 1 << 20
"""Bytes gathered before a write, and read at once."""


class ScratchRun:
    """Written once from front to back, then read from front to back. OSError where the disk is full."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = open(path, "wb", buffering=BUFFER_SIZE)  # noqa: SIM115 - closed by finish
        self._size = 0

    def append(self, payload: bytes) -> None:
        """One more block."""
        self._file.write(_HEADER.pack(len(payload), xxh3_64_intdigest(payload)))
        self._file.write(payload)
        self._size += _HEADER.size + len(payload)

    def finish(self) -> int:
        """No more blocks come; the bytes written."""
        self._file.close()
        return self._size

    def payloads(self) -> Iterator[bytes]:
        """The blocks, each verified; the file is deleted as soon as it is open."""
        with open(self.path, "rb", buffering=BUFFER_SIZE) as file:
            os.unlink(self.path)
            while header := file.read(_HEADER.size):
                length, checksum = _HEADER.unpack(header)
                payload = file.read(length)
                if len(payload) != length:
                    raise TruncatedFile(f"{self.path} ends {length - len(payload)} bytes early")
                if xxh3_64_intdigest(payload) != checksum:
                    raise ChecksumMismatch(f"a block of {self.path} is not what was written")
                yield payload
