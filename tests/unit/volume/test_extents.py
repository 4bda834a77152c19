"""Which extents a peer could not read as they are."""

from __future__ import annotations

import pytest

from blfs_mr import linux
from blfs_mr.linux import Extent
from blfs_mr.volume.extents import fault_of


def test_extents_that_cover_the_file_are_sound() -> None:
    assert fault_of([Extent(0, 8192, 4096, 0), Extent(4096, 65536, 8192, linux.EXTENT_LAST)], 10_000) == ""


@pytest.mark.parametrize(
    ("flag", "part"),
    [
        (linux.EXTENT_UNWRITTEN, "never written"),
        (linux.EXTENT_DELAYED, "no place on the device yet"),
        (linux.EXTENT_UNKNOWN, "does not tell"),
        (linux.EXTENT_SHARED, "shares"),
        (linux.EXTENT_ENCODED, "compressed or encrypted"),
        (linux.EXTENT_INLINE, "within its inode"),
    ],
)
def test_an_extent_that_overwrites_move_or_peers_cannot_read_is_told(flag: int, part: str) -> None:
    assert part in fault_of([Extent(0, 0, 4096, 0), Extent(4096, 8192, 4096, flag | 1)], 8192)


@pytest.mark.parametrize(
    ("extents", "at"),
    [
        ([], 0),
        ([Extent(4096, 0, 4096, 1)], 0),
        ([Extent(0, 0, 4096, 0), Extent(8192, 0, 4096, 1)], 4096),
        ([Extent(0, 0, 8192, 1)], 8192),
    ],
)
def test_a_hole_is_told_by_its_place(extents: list[Extent], at: int) -> None:
    assert fault_of(extents, 12288) == f"has a hole at byte {at}"
