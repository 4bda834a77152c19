"""The one narrow module over the kernel: direct I/O, block devices, mounts, locks and process controls.

What is here is mechanism only; who may open what, and when to flush or retry, is decided elsewhere. Every
function names the capability it needs (almost always none) and what it raises. Facts about system calls are
from the Linux man pages: open(2), preadv(2), flock(2), prctl(2), proc(5); those about block devices and
extents from the kernel's include/uapi/linux/fs.h and Documentation/filesystems/fiemap.rst.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import resource
import stat
from dataclasses import dataclass
from struct import Struct
from types import TracebackType
from typing import Self

from blfs_mr.errors import DirectIONotSupported, VolumeBusy

PAGE = 4096
"""Alignment of every direct read: of the address, the offset and the length, in bytes.

A constant and not the device's logical block size, because it is part of the format on disk: a volume
written on one host is read on others.
"""

_BLKROSET, _BLKROGET, _BLKFLSBUF, _BLKSSZGET, _BLKGETSIZE64 = 0x125D, 0x125E, 0x1261, 0x1268, 0x80081272
_FS_IOC_FIEMAP = 0xC020660B
_FIEMAP_FLAG_SYNC = 1
_FS_IOC_GETFSUUID = 0x80111500

EXTENT_LAST, EXTENT_UNKNOWN, EXTENT_DELAYED, EXTENT_ENCODED = 0x1, 0x2, 0x4, 0x8
EXTENT_INLINE, EXTENT_UNWRITTEN, EXTENT_SHARED = 0x200, 0x800, 0x2000
"""Flags of an :class:`Extent`, as in include/uapi/linux/fiemap.h."""

_INT = Struct("=i")
_UNSIGNED_64 = Struct("=Q")
_UUID = Struct("=B16s")
"""struct fsuuid2: the length of the UUID, and the UUID."""

_FIEMAP = Struct("=QQIIII")
_FIEMAP_EXTENT = Struct("=QQQQQIIII")
_EXTENTS_AT_ONCE = 128
"""Extents asked for in one call: 7 KiB of answer; a file in more pieces takes more calls."""

_LOCK = Struct("@hhqqi0q")
"""struct flock on 64-bit Linux: type, whence, start, length, pid."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def align_down(position: int) -> int:
    """The last multiple of PAGE that is not above ``position``."""
    return position & -PAGE


def align_up(position: int) -> int:
    """The first multiple of PAGE that is not below ``position``."""
    return (position + PAGE - 1) & -PAGE


class AlignedBuffer:
    """Anonymous memory for direct reads: page aligned, ``size`` bytes rounded up to whole pages.

    The mapping is shared, because user code may fork while the device writes into the buffer: in a private
    mapping the fork would mark the pages copy-on-write, and the data could land in the child's copy
    (open(2), NOTES on O_DIRECT and fork).
    """

    __slots__ = ("_map", "size")

    def __init__(self, size: int) -> None:
        self.size = align_up(size)
        self._map = mmap.mmap(-1, self.size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)

    def view(self) -> memoryview:
        """All bytes of the buffer, writable."""
        return memoryview(self._map)

    def close(self) -> None:
        """Unmap. Raises BufferError while a view of the buffer is still held."""
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_direct(path: str) -> int:
    """Open for direct reads only. Needs read permission; returns a descriptor that exec closes.

    Raises DirectIONotSupported where the file system refuses ``O_DIRECT``, OSError for everything else.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise DirectIONotSupported(f"{path}: its file system refuses O_DIRECT") from error
        raise


def open_for_overwrite(path: str) -> int:
    """Open an existing file or device to change bytes in place. Needs write permission; raises OSError.

    Never creates and never truncates: both change metadata, which peers have cached for good.
    """
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def supports_direct_io(folder: str) -> bool:
    """Whether files in ``folder`` can be read with ``O_DIRECT`` at PAGE alignment. Needs write permission.

    Makes, reads and removes one file of one page, because some file systems accept the flag in open(2) and
    refuse the read, or want a larger alignment. Raises OSError where the folder cannot be written at all.
    """
    path = os.path.join(folder, f".direct-io-probe-{os.getpid()}")
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        # A second open, because one that is refused for O_DIRECT may have made the file all the same.
        direct = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        try:
            with AlignedBuffer(PAGE) as buffer, buffer.view() as view:
                return os.pwrite(direct, view, 0) == PAGE == os.preadv(direct, [view], 0)
        finally:
            os.close(direct)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    finally:
        os.close(fd)
        os.unlink(path)


def read_exactly(fd: int, view: memoryview, offset: int) -> int:
    """Fill ``view`` from ``offset`` of ``fd``; return the bytes read, fewer only at the end of the file.

    Fit for direct descriptors where ``view`` and ``offset`` are aligned: after a short read it goes on from
    the last whole page, since ``O_DIRECT`` refuses any other position. Raises OSError as preadv(2) does.
    """
    wanted = view.nbytes
    done = reached = 0
    while True:
        end = done + os.preadv(fd, [view[done:]], offset + done)
        if end == wanted or end <= reached:
            return max(end, reached)
        reached = end
        done = align_down(end)


def write_all(fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write every byte of ``data`` at ``offset``. Raises OSError as pwrite(2) does."""
    with memoryview(data) as whole, whole.cast("B") as view:
        done = 0
        while done < view.nbytes:
            done += os.pwrite(fd, view[done:], offset + done)


# ---------------------------------------------------------------- block devices, extents and mounts


def device_number(path: str) -> int:
    """The number of the block device at ``path`` (stat(2), st_rdev). Raises OSError where it is none."""
    found = os.stat(path)
    if not stat.S_ISBLK(found.st_mode):
        raise OSError(errno.ENOTBLK, os.strerror(errno.ENOTBLK), path)
    return found.st_rdev


def device_path(number: int) -> str:
    """The node in /dev of a block device, by the kernel's name of it (sysfs); empty where there is none."""
    try:
        with open(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/uevent", encoding="utf-8") as file:
            names = [line[len("DEVNAME=") :].strip() for line in file if line.startswith("DEVNAME=")]
    except FileNotFoundError:
        return ""
    return f"/dev/{names[0]}" if names else ""


def device_size(fd: int) -> int:
    """Bytes of an open block device (BLKGETSIZE64). Raises OSError."""
    return int(_UNSIGNED_64.unpack(fcntl.ioctl(fd, _BLKGETSIZE64, bytes(_UNSIGNED_64.size)))[0])


def logical_block_size(fd: int) -> int:
    """Bytes of the smallest direct read or write of an open block device (BLKSSZGET). Raises OSError."""
    return int(_INT.unpack(fcntl.ioctl(fd, _BLKSSZGET, bytes(_INT.size)))[0])


def is_read_only(fd: int) -> bool:
    """Whether the kernel refuses writes to an open block device (BLKROGET). Raises OSError."""
    return bool(_INT.unpack(fcntl.ioctl(fd, _BLKROGET, bytes(_INT.size)))[0])


def set_read_only(fd: int, read_only: bool) -> None:
    """Have the kernel refuse (or take again) all writes to an open block device (BLKROSET).

    Needs CAP_SYS_ADMIN. Holds until it is set otherwise or the device goes; raises OSError.
    """
    fcntl.ioctl(fd, _BLKROSET, _INT.pack(read_only))


def drop_device_cache(fd: int) -> None:
    """Write back and forget what the kernel has cached of an open block device itself (BLKFLSBUF).

    Needs CAP_SYS_ADMIN. What a mounted file system has cached of its files and names stays. Raises OSError.
    """
    fcntl.ioctl(fd, _BLKFLSBUF, 0)


def device_holders(number: int) -> list[str]:
    """What is made of a block device: device mapper, RAID, multipath, and its partitions (sysfs)."""
    folder = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    try:
        holders = os.listdir(f"{folder}/holders")
        return holders + [name for name in os.listdir(folder) if os.path.exists(f"{folder}/{name}/partition")]
    except FileNotFoundError:
        return []


def device_serial(number: int) -> str:
    """The serial number that a block device gives (sysfs), empty where it gives none.

    SCSI disks, LUNs among them, give it on the page of vital product data of that name (SPC-4, page 80h:
    four bytes of header, then text), others as a file.
    """
    folder = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    for name, header in (("device/vpd_pg80", 4), ("device/serial", 0), ("serial", 0)):
        try:
            with open(f"{folder}/{name}", "rb") as file:
                return file.read()[header:].decode("ascii", "replace").strip("\0 \n")
        except OSError:
            continue
    return ""


def swap_devices() -> list[str]:
    """The paths of files and devices in use as swap (proc(5), swaps)."""
    with open("/proc/swaps", encoding="utf-8") as file:
        return [_unescape(line.split()[0]) for line in file.readlines()[1:]]


@dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of a file: ``length`` bytes from ``logical`` of it, at ``physical`` of its device."""

    logical: int
    physical: int
    length: int
    flags: int


def file_extents(fd: int) -> list[Extent]:
    """Where all data of an open file lies, in order (FS_IOC_FIEMAP); data that is not on disk yet is flushed.

    Raises OSError, EOPNOTSUPP where the file system has no such map.
    """
    extents: list[Extent] = []
    while True:
        start = extents[-1].logical + extents[-1].length if extents else 0
        asked = bytearray(_FIEMAP.size + _EXTENTS_AT_ONCE * _FIEMAP_EXTENT.size)
        everything = (1 << 64) - 1 - start
        _FIEMAP.pack_into(asked, 0, start, everything, _FIEMAP_FLAG_SYNC, 0, _EXTENTS_AT_ONCE, 0)
        fcntl.ioctl(fd, _FS_IOC_FIEMAP, asked)
        count = _FIEMAP.unpack_from(asked)[3]
        for logical, physical, length, _, _, flags, *_ in _FIEMAP_EXTENT.iter_unpack(
            memoryview(asked)[_FIEMAP.size : _FIEMAP.size + count * _FIEMAP_EXTENT.size]
        ):
            extents.append(Extent(logical, physical, length, flags))
        if count == 0 or extents[-1].flags & EXTENT_LAST:
            return extents


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount of this process's namespace: ``device`` is the number of what is mounted at ``point``.

    ``options`` are those of the mount and of its file system together.
    """

    device: int
    point: str
    kind: str
    options: frozenset[str]


def read_mounts() -> list[Mount]:
    """All mounts, a later one over an earlier one at the same point (proc(5), mountinfo)."""
    mounts = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            first, _, second = line.partition(" - ")
            # Divided by single blanks, because the source in the middle may be empty.
            fields, (kind, _, file_system) = first.split(), second.rstrip("\n").split(" ")
            major, _, minor = fields[2].partition(":")
            # "rw" of a read-only file system's mount must not hide that nobody can write there.
            options = {*fields[5].split(","), *file_system.split(",")}
            if "ro" in options:
                options.discard("rw")
            mounts.append(
                Mount(os.makedev(int(major), int(minor)), _unescape(fields[4]), kind, frozenset(options))
            )
    return mounts


def file_system_uuid(path: str) -> bytes:
    """The UUID of the file system that ``path`` is on, from memory: its device is not read.

    Empty where the kernel does not tell it, as before Linux 6.9 (FS_IOC_GETFSUUID). Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        length, uuid = _UUID.unpack(fcntl.ioctl(fd, _FS_IOC_GETFSUUID, bytes(_UUID.size)))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP):
            return b""
        raise
    finally:
        os.close(fd)
    return bytes(uuid[:length])


def _unescape(path: str) -> str:
    # Blanks and backslashes stand as octal numbers in files of the kernel whose fields are divided by blanks.
    if "\\" not in path:
        return path
    first, *others = path.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in others)


# ---------------------------------------------------------------- locks and processes


def lock_exclusive(fd: int) -> None:
    """Take the flock(2) of an open file without waiting. Raises VolumeBusy when another one holds it.

    The lock belongs to the open file description: every process that inherits the descriptor holds it too,
    and it ends when the last of them is gone.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise VolumeBusy("another process holds the lock") from error


def lock_range(fd: int, start: int, length: int) -> None:
    """Lock bytes of an open file against others that lock them so, without waiting. Raises VolumeBusy.

    The lock belongs to the open file description and ends when it is closed (fcntl(2), F_OFD_SETLK; flock(2)
    knows nothing of it). Needs a descriptor that can write.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0))
    except BlockingIOError as error:
        raise VolumeBusy("another process holds the lock") from error


def set_parent_death_signal(signal: int) -> None:
    """Have the kernel send ``signal`` to this process when the thread that forked it ends.

    Needs no capability. A change of credentials clears it, so call it afterwards; the parent may have died
    before the call, so compare ``os.getppid()`` after it. Raises OSError.
    """
    _prctl(_PR_SET_PDEATHSIG, signal)


def forbid_new_privileges() -> None:
    """No program that this process or its children run gains rights, set-user-ID or not, for good.

    Needs no capability (prctl(2), PR_SET_NO_NEW_PRIVS). Raises OSError.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def forbid_inspection() -> None:
    """Keep memory, open files and folders of this process from others of the same user (PR_SET_DUMPABLE).

    Children inherit it until they run another program. Raises OSError.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def set_child_subreaper(on: bool = True) -> None:
    """Become the parent that reaps all orphaned descendants, or no longer. Raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, on)


def children_of(pid: int) -> list[int]:
    """The processes whose parent the main thread of ``pid`` is; none when it is gone (proc(5), children)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []


def process_start(pid: int) -> int:
    """When a process was started, in clock ticks since boot; 0 when it is gone (proc(5), stat, field 22).

    With the pid it names a process for good, since pids are used again.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The second field is the program's name in parentheses, which may hold blanks and parentheses.
            return int(file.read().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def machine_identity() -> str:
    """The lasting id of this host, 32 hex digits (machine-id(5)); zeros where it has none."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            found = file.read().strip()
    except FileNotFoundError:
        found = ""
    return found if len(found) == 32 else "0" * 32


def host_identity() -> str:
    """The boot id: equal for all processes of one running kernel, different on every host and boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


class ResidentMeter:
    """Tells the memory of this process that is in RAM now, in bytes (proc(5), statm, second field).

    The file stays open, because a look is due every few milliseconds. It shows the process that opened it, so
    a forked child needs a meter of its own.
    """

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        self._fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def __call__(self) -> int:
        return int(os.pread(self._fd, 128, 0).split()[1]) * mmap.PAGESIZE


def peak_memory() -> int:
    """The most memory of this process that was ever in RAM at one time, in bytes (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def trim_memory() -> None:
    """Give freed memory that the C allocator keeps back to the kernel (malloc_trim(3)).

    Does nothing where the C library has no such function (musl keeps little by itself).
    """
    # Imported here as in _prctl.
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def limit_memory_growth(size: int) -> None:
    """Let this process take ``size`` bytes of private memory more than now; then allocations fail.

    The limit is RLIMIT_DATA, which since Linux 4.7 counts all private writable mappings (getrlimit(2)).
    RLIMIT_AS would count address space that libraries reserve and never touch. Children inherit it.
    """
    with open("/proc/self/statm", encoding="ascii") as file:
        present = int(file.read().split()[5]) * mmap.PAGESIZE
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = present + size
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))


def lift_memory_limit() -> None:
    """End what :func:`limit_memory_growth` began, so that its outcome can be reported."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _prctl(option: int, argument: int) -> None:
    # Imported here: ctypes costs milliseconds and most processes never come by.
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
