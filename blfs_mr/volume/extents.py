"""Whether the bytes of a file lie on its device as a peer must find them.

A peer's kernel reads a file's extents once. An extent that is allocated but unwritten reads as zeros there
for good, one that is shared is moved by the next overwrite, and a hole or delayed data has no place at all.
"""

from __future__ import annotations

from blfs_mr.linux import (
    EXTENT_DELAYED,
    EXTENT_ENCODED,
    EXTENT_INLINE,
    EXTENT_SHARED,
    EXTENT_UNKNOWN,
    EXTENT_UNWRITTEN,
    Extent,
    file_extents,
)

_FAULTS = {
    EXTENT_UNWRITTEN: "has extents that are allocated but were never written",
    EXTENT_DELAYED: "has data that has no place on the device yet",
    EXTENT_UNKNOWN: "has data at a place that its file system does not tell",
    EXTENT_SHARED: "shares extents with another file",
    EXTENT_ENCODED: "has extents that are compressed or encrypted",
    EXTENT_INLINE: "has its data within its inode",
}


def extent_fault(fd: int, size: int) -> str:
    """What is wrong with the extents of an open file of ``size`` bytes; empty for nothing. Raises OSError."""
    return fault_of(file_extents(fd), size)


def fault_of(extents: list[Extent], size: int) -> str:
    """As :func:`extent_fault`, of extents that are known."""
    end = 0
    for extent in extents:
        if extent.logical > end:
            break
        for flag, fault in _FAULTS.items():
            if extent.flags & flag:
                return fault
        end = extent.logical + extent.length
    return "" if end >= size else f"has a hole at byte {end}"
