"""Buffers are used again when that is safe, and reads on threads end in order, in error or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from blfs_mr.spill.buffers import MAX_IDLE, BufferPool, PendingRead


@pytest.fixture
def fd(tmp_path: Path) -> int:
    path = tmp_path / "data"
    path.write_bytes(bytes(range(256)) * 64)
    return os.open(path, os.O_RDONLY)


def test_a_buffer_given_back_is_taken_again_where_it_is_long_enough() -> None:
    with BufferPool(read_size=4096) as pool:
        first = pool.take(100)
        assert first.size == 4096
        pool.give_back(first)
        assert pool.take(8192) is not first
        assert pool.take(4096) is first


def test_no_more_buffers_are_kept_than_the_cap() -> None:
    with BufferPool(read_size=4096) as pool:
        buffers = [pool.take(1) for _ in range(MAX_IDLE + 3)]
        for buffer in buffers:
            pool.give_back(buffer)
        taken = [pool.take(1) for _ in range(MAX_IDLE + 3)]
    assert len({id(b) for b in taken} & {id(b) for b in buffers}) == MAX_IDLE


def test_reads_ahead_fill_their_views(fd: int) -> None:
    with BufferPool(read_size=4096, depth=2) as pool:
        buffer = pool.take(16384)
        view = buffer.view()
        reads = [pool.read_ahead(fd, view[at : at + 4096], at) for at in range(0, 16384, 4096)]
        assert [read.wait() for read in reads] == [4096] * 4
        assert bytes(view) == bytes(range(256)) * 64
    os.close(fd)


def test_an_error_of_a_read_is_raised_where_it_is_waited_for() -> None:
    with BufferPool(read_size=4096, depth=1) as pool:
        read = pool.read_ahead(-1, memoryview(bytearray(10)), 0)
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            read.wait()
    assert caught.value.errno == errno.EBADF


def test_a_cancelled_read_never_touches_its_view(fd: int) -> None:
    view = memoryview(bytearray(10))
    read = PendingRead(fd, view, 1)
    read.cancel()
    read.run()
    assert read.wait() == 0
    assert bytes(view) == bytes(10)
    os.close(fd)


def test_a_closed_pool_dismisses_its_threads(fd: int) -> None:
    pool = BufferPool(read_size=4096, depth=2)
    pool.read_ahead(fd, memoryview(bytearray(10)), 0).wait()
    threads = list(pool._threads)
    pool.close()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()
    os.close(fd)
