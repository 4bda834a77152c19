"""The kernel interface does what it says on a real kernel, and on the kernel's rarer answers."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from blfs_mr import linux
from blfs_mr.errors import DirectIONotSupported, VolumeBusy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(bytes(range(250)) * 40)
    return path


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def test_positions_are_rounded_to_pages() -> None:
    assert [linux.align_down(n) for n in (0, 1, 4095, 4096, 5000)] == [0, 0, 0, 4096, 4096]
    assert [linux.align_up(n) for n in (0, 1, 4095, 4096, 5000)] == [0, 4096, 4096, 4096, 8192]


def test_an_aligned_buffer_is_whole_pages_at_a_page_s_address() -> None:
    with linux.AlignedBuffer(5000) as buffer:
        assert buffer.size == len(buffer.view()) == 8192
        assert ctypes.addressof(ctypes.c_char.from_buffer(buffer.view())) % linux.PAGE == 0


def test_an_aligned_buffer_is_shared_with_a_forked_child() -> None:
    buffer = linux.AlignedBuffer(1)
    view = buffer.view()
    child = os.fork()
    if child == 0:
        view[0] = 7
        os._exit(0)
    os.waitpid(child, 0)
    assert view[0] == 7


def test_opening_for_overwrite_neither_creates_nor_truncates(tmp_path: Path, path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        linux.open_for_overwrite(str(tmp_path / "absent"))
    size = path.stat().st_size
    os.close(linux.open_for_overwrite(str(path)))
    assert path.stat().st_size == size


def test_a_refused_direct_open_is_told_apart_from_other_errors(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError):
        linux.open_direct(str(path) + "-absent")

    def refuse(path: str, flags: int) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DirectIONotSupported, match="O_DIRECT"):
        linux.open_direct(str(path))


def test_the_probe_agrees_with_a_direct_read_and_leaves_nothing(tmp_path: Path) -> None:
    supported = linux.supports_direct_io(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    if supported:
        (tmp_path / "data").write_bytes(b"x" * 5000)
        fd = linux.open_direct(str(tmp_path / "data"))
        with linux.AlignedBuffer(8192) as buffer:
            assert linux.read_exactly(fd, buffer.view(), 0) == 5000
        os.close(fd)


def test_the_probe_finds_a_file_system_that_accepts_the_flag_and_refuses_the_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, views: Sequence[memoryview], offset: int) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "preadv", refuse)
    assert not linux.supports_direct_io(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_read_past_the_end_gives_what_there_is(fd: int) -> None:
    view = memoryview(bytearray(20_000))
    assert linux.read_exactly(fd, view, 0) == 10_000
    assert bytes(view[:10_000]) == bytes(range(250)) * 40
    assert linux.read_exactly(fd, view, 50_000) == 0
    assert linux.read_exactly(fd, view[:100], 9_950) == 50


@pytest.mark.parametrize("largest", [4096, 4100, 8191, 9000])
def test_short_reads_go_on_at_aligned_positions_only(
    fd: int, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    positions = []
    preadv = os.preadv

    def short(fd: int, views: Sequence[memoryview], offset: int) -> int:
        positions.append(offset)
        return preadv(fd, [views[0][:largest]], offset)

    monkeypatch.setattr(os, "preadv", short)
    view = memoryview(bytearray(10_000))
    assert linux.read_exactly(fd, view, 0) == 10_000
    assert bytes(view) == bytes(range(250)) * 40
    assert len(positions) > 1
    assert all(position % 4096 == 0 for position in positions)


def test_short_writes_go_on_until_all_is_written(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:7], offset))
    linux.write_all(fd, b"twenty characters...", 3)
    assert os.pread(fd, 20, 3) == b"twenty characters..."


def test_a_second_lock_of_a_file_is_refused_until_the_first_is_closed(path: Path) -> None:
    first, second = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    linux.lock_exclusive(first)
    with pytest.raises(VolumeBusy):
        linux.lock_exclusive(second)
    os.close(first)
    linux.lock_exclusive(second)
    os.close(second)


def test_a_child_dies_with_its_parent() -> None:
    # The child tells its pid, then waits on a pipe that nobody ever writes to; its parent exits at once.
    program = """
import os, signal
from blfs_mr.linux import set_parent_death_signal
ready, hold = os.pipe(), os.pipe()
if os.fork() == 0:
    set_parent_death_signal(signal.SIGKILL)
    os.write(ready[1], b"x")
    os.read(hold[0], 1)
os.read(ready[0], 1)
"""
    # The pipe of stdout ends when the last of the two is gone: without the signal this would time out.
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=20)


def test_an_invalid_signal_is_an_os_error() -> None:
    with pytest.raises(OSError, match="prctl"):
        linux.set_parent_death_signal(9999)


def test_a_subreaper_becomes_the_parent_of_orphans() -> None:
    program = """
import os
from blfs_mr.linux import set_child_subreaper
set_child_subreaper()
hold = os.pipe()
child = os.fork()
if child == 0:
    if os.fork() == 0:
        os.read(hold[0], 1)
        os._exit(7)
    os._exit(0)
os.waitpid(child, 0)
os.write(hold[1], b"x")
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=20)
    assert done.stdout == b"7\n"


def test_processes_of_one_host_agree_on_its_identity() -> None:
    program = "from blfs_mr.linux import host_identity; print(host_identity())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == linux.host_identity() != ""


def test_resident_memory_is_measured_in_bytes() -> None:
    resident = linux.ResidentMeter()
    before = resident()
    block = bytearray(os.urandom(64 << 20))
    assert 50 << 20 < resident() - before < 200 << 20
    assert block


def test_freed_memory_goes_back_to_the_kernel() -> None:
    program = """
from blfs_mr.linux import ResidentMeter, trim_memory
resident = ResidentMeter()
pieces = [bytes(60_000) + bytes([number % 256]) for number in range(1000)]
last = bytes(1000)
held = resident()
kept = pieces[-1]  # the heap cannot shrink from its end
del pieces
trim_memory()
print(held - resident() > 40 << 20)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "True\n"


def test_a_c_library_without_trimming_is_tolerated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    linux.trim_memory()


def test_memory_growth_has_a_limit_that_can_be_lifted() -> None:
    program = """
from blfs_mr.linux import lift_memory_limit, limit_memory_growth
limit_memory_growth(64 << 20)
fits = bytearray(32 << 20)
try:
    bytearray(64 << 20)
    print("no limit")
except MemoryError:
    print("limited")
lift_memory_limit()
print(len(bytearray(64 << 20)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.split("\n") == ["limited", str(64 << 20), ""]


def test_importing_the_module_does_not_import_ctypes() -> None:
    program = "import sys, blfs_mr.linux; print('ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def test_the_peak_of_memory_is_no_less_than_what_was_held() -> None:
    before = linux.ResidentMeter()()
    held = bytes(os.urandom(1)) * (32 << 20)
    assert linux.peak_memory() >= before + len(held) // 2
    del held
    assert linux.peak_memory() >= before
