"""What every layout must do, whatever it is made of. Layouts are listed in ``conftest.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from blfs_mr.errors import VolumeBusy, VolumeError
from blfs_mr.model import AttemptId, JobId, Lease, PublishedFile, SharedFile, TaskId, TaskKind, VolumeId
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.spill.writer import SharedFileWriter
from blfs_mr.volume.layout import OwnedVolume, Volume, open_volume


def write_run(volume: Volume, shared_file: SharedFile, generation: int, payload: bytes) -> PublishedFile:
    attempt = AttemptId(TaskId(JobId("a0" * 8), TaskKind.MAP, 0), generation)
    fd = volume.open_for_write(shared_file)
    try:
        writer = SharedFileWriter(fd, Lease(shared_file, generation, attempt), 1)
        assert writer.append(0, payload, 1)
        published = writer.finish()
        os.fsync(fd)
    finally:
        os.close(fd)
    volume.flush_device()
    return published


def read_run(volume: Volume, published: PublishedFile) -> bytes:
    fd = volume.open_for_read(published.lease.shared_file)
    try:
        with BufferPool() as pool:
            return b"".join(bytes(block.payload) for block in SegmentReader(fd, published, 0, pool))
    finally:
        os.close(fd)


class TestEveryVolume:
    def test_shared_files_are_aligned_distinct_and_of_this_volume(self, owned: OwnedVolume) -> None:
        files = owned.shared_files()
        assert len({(f.path, f.offset) for f in files}) == len(files) == 3
        assert all(f.volume == owned.access.volume for f in files)
        assert all(f.offset % 4096 == 0 and f.size == 64 << 10 for f in files)

    def test_what_one_process_wrote_another_reads(self, owned: OwnedVolume) -> None:
        runs = [write_run(owned, f, 1, f"run {n}".encode()) for n, f in enumerate(owned.shared_files())]
        peer = open_volume(owned.access)
        assert [read_run(peer, run) for run in runs] == [b"run 0", b"run 1", b"run 2"]

    def test_a_run_written_over_an_earlier_one_is_read_fresh(self, owned: OwnedVolume) -> None:
        task, shared_file = open_volume(owned.access), owned.shared_files()[0]
        for generation in range(1, 6):
            published = write_run(task, shared_file, generation, bytes([generation]) * 30_000)
            assert read_run(task, published) == bytes([generation]) * 30_000

    def test_the_owner_finds_the_generations_again(
        self, owned: OwnedVolume, reopen: Callable[[], OwnedVolume]
    ) -> None:
        files = owned.shared_files()
        write_run(owned, files[0], 5, b"x")
        write_run(owned, files[2], 900, b"x")
        owned.close()
        again = reopen()
        assert again.shared_files() == files
        found = [again.last_lease(f) for f in files]
        assert [lease and lease.generation for lease in found] == [5, None, 900]
        again.close()

    def test_a_volume_has_one_owner_at_a_time(
        self, owned: OwnedVolume, reopen: Callable[[], OwnedVolume]
    ) -> None:
        with pytest.raises(VolumeBusy, match="held by another worker"):
            reopen()
        owned.close()
        reopen().close()

    def test_a_volume_stays_busy_until_a_writer_that_outlived_its_owner_is_gone(
        self, owned: OwnedVolume, reopen: Callable[[], OwnedVolume]
    ) -> None:
        writer = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[owned.lock_descriptor]
        )
        owned.close()
        with pytest.raises(VolumeBusy):
            reopen()
        writer.communicate(b"\n", timeout=20)
        reopen().close()

    def test_writers_inherit_the_lock_even_across_exec(self, owned: OwnedVolume) -> None:
        assert os.get_inheritable(owned.lock_descriptor)

    def test_data_descriptors_do_not_leak_across_exec(self, owned: OwnedVolume) -> None:
        shared_file = owned.shared_files()[0]
        for fd in (owned.open_for_write(shared_file), owned.open_for_read(shared_file)):
            assert not os.get_inheritable(fd)
            os.close(fd)

    def test_a_descriptor_for_reading_cannot_write(self, owned: OwnedVolume) -> None:
        shared_file = owned.shared_files()[0]
        write_run(owned, shared_file, 1, b"x")
        fd = owned.open_for_read(shared_file)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(fd, b"x", 0)
        os.close(fd)

    def test_a_device_is_flushed_where_there_is_one(self, owned: OwnedVolume) -> None:
        assert owned.flush_device() == (owned.access.device != "")

    def test_a_shared_file_of_another_volume_is_refused(self, owned: OwnedVolume) -> None:
        foreign = replace(owned.shared_files()[0], volume=VolumeId("ff" * 16))
        for opened in (owned.open_for_read, owned.open_for_write):
            with pytest.raises(VolumeError, match="of volume ffff"):
                opened(foreign)
