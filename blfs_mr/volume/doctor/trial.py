"""What a peer does besides reading the canary: it tries to write, and measures the path.

The attempt to write is made on one page that holds no data, and writes what stands there already.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from blfs_mr.errors import VolumeError
from blfs_mr.linux import (
    PAGE,
    AlignedBuffer,
    align_down,
    file_extents,
    is_read_only,
    open_direct,
    read_exactly,
    set_read_only,
)
from blfs_mr.model import VolumeLayout
from blfs_mr.volume.canary import TRIAL_AT, canary_offset, is_canary_page
from blfs_mr.volume.contract import VolumePlace
from blfs_mr.volume.superblock import Superblock, TableEntry

_REFUSALS = {errno.EROFS, errno.EPERM, errno.EACCES}

_AT_ONCE = 1 << 20
_MOST, _LONGEST = 64 << 20, 2.0
"""Bytes and seconds of reading that tell a path's bandwidth well enough."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of trying to write, and how it is told."""

    outcome: Literal["refused", "written", "untried"]
    told: str


def try_to_write(volume: VolumePlace, superblock: Superblock, *, through_protection: bool) -> Attempt:
    """Write the trial page of the canary through a peer's device, with the bytes that it holds.

    With ``through_protection`` this host's own protection of the device is lifted for that one write, so
    that the disk itself, an iSCSI target's LUN for example, has to refuse it. Needs CAP_SYS_ADMIN then.
    """
    try:
        position = _trial_position(volume, superblock)
        with ExitStack() as stack:
            if through_protection:
                _lift_protection(volume.device, stack)
            return _write_again(volume, superblock, position)
    except (OSError, VolumeError) as error:
        return Attempt("untried", str(error))


def read_speed(volume: VolumePlace, entries: Sequence[TableEntry]) -> float:
    """Bytes a second of direct reads of shared files, one after another; 0 where they cannot be read."""
    done, start = 0, time.perf_counter()
    with AlignedBuffer(_AT_ONCE) as buffer, buffer.view() as view:
        for entry in entries:
            raw = volume.layout is VolumeLayout.RAW
            try:
                fd = open_direct(volume.device if raw else os.path.join(volume.root, entry.name))
            except OSError:
                return 0.0
            try:
                for at in range(0, entry.size, _AT_ONCE):
                    with view[: min(_AT_ONCE, entry.size - at)] as part:
                        done += read_exactly(fd, part, entry.offset + at)
                    if done >= _MOST or time.perf_counter() - start > _LONGEST:
                        return done / (time.perf_counter() - start)
            except OSError:
                return 0.0
            finally:
                os.close(fd)
    return done / (time.perf_counter() - start)


def _trial_position(volume: VolumePlace, superblock: Superblock) -> int:
    """Where the trial page stands on the device. Raises VolumeError or OSError."""
    position = canary_offset(superblock.count) + TRIAL_AT
    if volume.layout is VolumeLayout.RAW:
        return position
    fd = open_direct(volume.place)
    try:
        for extent in file_extents(fd):
            if extent.logical <= position < extent.logical + extent.length:
                return extent.physical + position - extent.logical
    finally:
        os.close(fd)
    raise VolumeError(f"{volume.place} has no block for the page on which a peer may try to write")


def _write_again(volume: VolumePlace, superblock: Superblock, position: int) -> Attempt:
    with AlignedBuffer(PAGE) as buffer, buffer.view() as view:
        fd = open_direct(volume.device)
        try:
            read_exactly(fd, view, align_down(position))
        finally:
            os.close(fd)
        # The map of a file is the file system's word; that the page is ours is the page's own.
        if not is_canary_page(view, superblock.volume):
            return Attempt("untried", f"at {position} of {volume.device} there is no page of the canary")
        try:
            fd = os.open(volume.device, os.O_RDWR | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _REFUSALS:
                return Attempt("refused", f"opening it for writing: {error.strerror}")
            return Attempt("untried", f"opening it for writing: {error.strerror}")
        try:
            os.pwrite(fd, view, position)
        except OSError as error:
            # Most disks answer a write to protected medium with an error of input and output.
            return Attempt("refused", f"writing: {error.strerror}")
        finally:
            os.close(fd)
    return Attempt("written", f"a page at {position} was written, with the bytes that stood there")


def _lift_protection(device: str, stack: ExitStack) -> None:
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    if is_read_only(fd):
        set_read_only(fd, False)
        stack.callback(set_read_only, fd, True)
