"""What stands in a shared file before its first lease: every byte written, and every page tells its place.

A page that came from elsewhere (a device that is smaller than it says and wraps around, a file that lies
twice on the same blocks) then differs from what was written there, and none is zero, which is what a page
that was never written reads as.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from struct import Struct

from blfs_mr.errors import VolumeError
from blfs_mr.linux import PAGE, AlignedBuffer, read_exactly
from blfs_mr.model import VolumeId

CHUNK = 4 << 20
"""Bytes written or read at once: long enough that the device and not the calls limit the speed."""

_MAGIC = b"blfs-free page\n\0"
_PLACE = Struct("<QQ")
_PLACE_AT = 32

Tell = Callable[[int], None]
"""Told the bytes that were done since the last time."""


def write_blanks(fd: int, offset: int, size: int, volume: VolumeId, number: int, tell: Tell) -> None:
    """Write shared file ``number`` blank: ``size`` bytes from ``offset`` of the direct descriptor ``fd``."""
    with AlignedBuffer(min(size, CHUNK)) as buffer, buffer.view() as view:
        _prepare(view, volume)
        for start in range(0, size, CHUNK):
            length = min(CHUNK, size - start)
            _stamp(view, number, start, length)
            done = 0
            while done < length:
                done += os.pwrite(fd, view[done:length], offset + start + done)
            tell(length)


def check_blanks(
    fd: int, offset: int, size: int, volume: VolumeId, number: int, tell: Tell, where: str
) -> None:
    """Read shared file ``number`` through the direct descriptor ``fd``; VolumeError where it differs."""
    longest = min(size, CHUNK)
    with (
        AlignedBuffer(longest) as expected,
        AlignedBuffer(longest) as found,
        expected.view() as wanted,
        found.view() as read,
    ):
        _prepare(wanted, volume)
        for start in range(0, size, CHUNK):
            length = min(CHUNK, size - start)
            _stamp(wanted, number, start, length)
            with read[:length] as part, wanted[:length] as same:
                if read_exactly(fd, part, offset + start) != length or part != same:
                    raise VolumeError(
                        f"{where} reads otherwise than it was written, in the {length} bytes from "
                        f"{offset + start}: the device is not fit for a volume"
                    )
            tell(length)


def is_blank(page: bytes | memoryview, volume: VolumeId) -> bool:
    """Whether ``page`` is one that was written blank, and not since."""
    return bytes(page[:_PLACE_AT]) == _MAGIC + bytes.fromhex(volume)


def _prepare(view: memoryview, volume: VolumeId) -> None:
    page = (_MAGIC + bytes.fromhex(volume)).ljust(PAGE, b"\xb1")
    view[:] = page * (view.nbytes // PAGE)


def _stamp(view: memoryview, number: int, start: int, length: int) -> None:
    for position in range(0, length, PAGE):
        _PLACE.pack_into(view, position + _PLACE_AT, number, start + position)
