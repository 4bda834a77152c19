"""Spill format version 1: bytes in, bytes out, no I/O. ``docs/spill_format.md`` is the specification.

A shared file holds one run: an index in 4 KiB pages, which is what this module knows, then for each partition
at most one segment made of blocks (``blfs_mr.spill.blocks``). Everything that can be read by itself carries
whose it is (volume, place, generation, attempt) under a checksum, because a reader of a raw device may be
handed the bytes of any earlier lease, of another file, or zeros, and must be able to say which. What fails is
named by its own exception (``blfs_mr.errors``).

The checksum is always judged before what it covers: a flipped bit is a ChecksumMismatch wherever it
strikes, and WrongGeneration and its kin mean that somebody really wrote those bytes, only not these ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

from xxhash import xxh3_64_intdigest, xxh3_128, xxh3_128_digest

from blfs_mr.errors import (
    BadIndex,
    BadMagic,
    ChecksumMismatch,
    InternalError,
    UnsupportedVersion,
    WrongAttempt,
    WrongGeneration,
    WrongPosition,
    WrongVolume,
)
from blfs_mr.model import AttemptId, JobId, Lease, TaskId, TaskKind, VolumeId
from blfs_mr.values import dataclass

MAGIC = b"blfs-mr\n"
VERSION = 1

PAGE_SIZE = 4096
"""Bytes of an index page: the alignment of direct reads, so that one read fetches exactly one page."""

PAGE_HEADER_SIZE = 128
ENTRY_SIZE = 40
ENTRIES_PER_PAGE = (PAGE_SIZE - PAGE_HEADER_SIZE) // ENTRY_SIZE

BLOCK_ALIGNMENT = 64
"""Blocks begin at multiples of this. Their headers are as long, so payloads in a page-aligned buffer are
64-byte aligned as well, which columnar libraries ask for (Apache Arrow, "Buffer Alignment and Padding")."""

BLOCK_HEADER_SIZE = 64

MAX_PAYLOAD = 4 << 20
"""Bytes of the largest payload: what a reader must hold in memory before it can verify any of it."""

DEFAULT_PAYLOAD = 256 << 10
"""Bytes of a usual payload: long against its header, short against a read of 1 MiB."""

DIGEST_SIZE = 16

_PREFIX = Struct("<8sQI")
_PAGE_HEADER = Struct("<8sQII16sQQ8sIIIIQQQ8x16s")
_PAGE_CHECKED_FROM = 16
_ENTRY = Struct("<QQQIIQ")
_AUTHOR = Struct("<8sIII")
_OFFSET = Struct("<Q")

_KIND_NUMBERS = {TaskKind.MAP: 1, TaskKind.REDUCE: 2}
_KINDS = {number: kind for kind, number in _KIND_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Whose bytes these are. ``place`` tells the shared files of a volume apart (see :meth:`from_lease`)."""

    volume: VolumeId
    place: int
    generation: int
    attempt: AttemptId

    @classmethod
    def from_lease(cls, lease: Lease) -> FileIdentity:
        """The identity that everything written under ``lease`` carries."""
        shared_file = lease.shared_file
        named = _OFFSET.pack(shared_file.offset) + shared_file.path.encode()
        return cls(shared_file.volume, xxh3_64_intdigest(named), lease.generation, lease.attempt)

    def volume_tag(self) -> int:
        """What a block carries for the volume: a 64-bit hash of its id."""
        return xxh3_64_intdigest(id_bytes(self.volume, 16))

    def author(self) -> int:
        """What a block carries for the attempt: a 64-bit hash of job, task and attempt number."""
        task = self.attempt.task
        numbers = (_KIND_NUMBERS[task.kind], task.index, self.attempt.number)
        return xxh3_64_intdigest(_AUTHOR.pack(id_bytes(task.job, 8), *numbers))


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """Where one segment stands, and what it holds.

    ``offset`` counts from the start of the shared file, ``length`` from the first block's header to the last
    payload's end. ``largest`` is the longest payload, which tells a reader how much memory it needs.
    ``checksum`` chains the checksums of all blocks in order.
    """

    offset: int
    length: int
    records: int
    blocks: int
    largest: int
    checksum: int


@dataclass(frozen=True, slots=True)
class IndexPage:
    """An index page whose checksum, magic and version are sound. Whether it is the wanted one is not said.

    ``size`` is that of the shared file, ``length`` the bytes in use, ``records`` all records of the run.
    ``index_digest`` covers the entries of all pages and stands in each of them.
    """

    number: int
    identity: FileIdentity
    partitions: int
    size: int
    length: int
    records: int
    index_digest: bytes
    entries: bytes


def index_pages(partitions: int) -> int:
    """How many pages the index of a run takes."""
    return -(-partitions // ENTRIES_PER_PAGE)


def index_page_of(partition: int) -> int:
    """The number of the page that holds the entry of ``partition``."""
    return partition // ENTRIES_PER_PAGE


def payload_capacity(size: int, partitions: int) -> int:
    """Bytes of the largest payload that an empty shared file takes; 0 where not even the index fits."""
    room = size - index_pages(partitions) * PAGE_SIZE - BLOCK_HEADER_SIZE
    return max(0, min(room, MAX_PAYLOAD))


def header_digest(page: bytes | memoryview) -> bytes:
    """The 16 bytes that are published for a run: they stand for its first page, and so for all of it."""
    return xxh3_128_digest(page)


def pack_index(
    identity: FileIdentity,
    *,
    partitions: int,
    size: int,
    length: int,
    records: int,
    entries: Mapping[int, SegmentEntry],
) -> bytes:
    """All index pages of a run, page 0 first. ``entries`` maps partitions to their segments."""
    pages = [bytearray(PAGE_SIZE) for _ in range(index_pages(partitions))]
    for partition, entry in entries.items():
        page_number, slot = divmod(partition, ENTRIES_PER_PAGE)
        _ENTRY.pack_into(
            pages[page_number],
            PAGE_HEADER_SIZE + slot * ENTRY_SIZE,
            entry.offset,
            entry.length,
            entry.records,
            entry.blocks,
            entry.largest,
            entry.checksum,
        )
    digest = xxh3_128()
    for page in pages:
        digest.update(page[PAGE_HEADER_SIZE:])
    task = identity.attempt.task
    for number, page in enumerate(pages):
        _PAGE_HEADER.pack_into(
            page,
            0,
            MAGIC,
            0,
            VERSION,
            number,
            id_bytes(identity.volume, 16),
            identity.place,
            identity.generation,
            id_bytes(task.job, 8),
            _KIND_NUMBERS[task.kind],
            task.index,
            identity.attempt.number,
            partitions,
            size,
            length,
            records,
            digest.digest(),
        )
        checksum = xxh3_64_intdigest(page[_PAGE_CHECKED_FROM:])
        _PREFIX.pack_into(page, 0, MAGIC, checksum, VERSION)
    return b"".join(pages)


def parse_index_page(page: bytes | memoryview) -> IndexPage:
    """Read one index page of PAGE_SIZE bytes.

    Raises BadMagic, ChecksumMismatch, UnsupportedVersion, or BadIndex for a sound page without sense.
    """
    magic, checksum, version = _PREFIX.unpack_from(page)
    if magic != MAGIC:
        raise BadMagic(f"no index page begins here: {bytes(magic)!r}")
    if xxh3_64_intdigest(page[_PAGE_CHECKED_FROM:PAGE_SIZE]) != checksum:
        raise ChecksumMismatch("an index page does not match its checksum")
    if version != VERSION:
        raise UnsupportedVersion(f"an index page of version {version}; this code reads version {VERSION}")
    (
        *_prefix,
        number,
        volume,
        place,
        generation,
        job,
        kind,
        task_index,
        attempt,
        partitions,
        size,
        length,
        records,
        index_digest,
    ) = _PAGE_HEADER.unpack_from(page)
    if kind not in _KINDS:
        raise BadIndex(f"an index page of task kind {kind}")
    if length > size or number >= index_pages(partitions):
        raise BadIndex(f"index page {number} for {partitions} partitions, {length} of {size} bytes in use")
    task = TaskId(JobId(job.hex()), _KINDS[kind], task_index)
    identity = FileIdentity(VolumeId(volume.hex()), place, generation, AttemptId(task, attempt))
    entries = bytes(page[PAGE_HEADER_SIZE:PAGE_SIZE])
    return IndexPage(number, identity, partitions, size, length, records, index_digest, entries)


def check_index_page(page: IndexPage, number: int, expected: FileIdentity) -> None:
    """Raise WrongVolume, WrongPosition, WrongGeneration or WrongAttempt unless the page is the wanted one."""
    found = page.identity
    if found.volume != expected.volume:
        raise WrongVolume(f"an index page of volume {found.volume} on volume {expected.volume}")
    if found.place != expected.place:
        raise WrongPosition("an index page of another shared file of the volume")
    if found.generation != expected.generation:
        raise WrongGeneration(f"an index page of generation {found.generation}, not {expected.generation}")
    if found.attempt != expected.attempt:
        raise WrongAttempt(
            f"an index page of {found.attempt} of job {found.attempt.task.job}, "
            f"not of {expected.attempt} of job {expected.attempt.task.job}"
        )
    if page.number != number:
        raise WrongPosition(f"index page {page.number} where page {number} belongs")


def parse_entry(page: IndexPage, partition: int) -> SegmentEntry | None:
    """The segment of ``partition``, None where the run has none. Raises BadIndex."""
    if partition >= page.partitions:
        raise BadIndex(f"an index of {page.partitions} partitions has none of number {partition}")
    if index_page_of(partition) != page.number:
        raise InternalError(f"partition {partition} does not stand in index page {page.number}")
    fields = _ENTRY.unpack_from(page.entries, partition % ENTRIES_PER_PAGE * ENTRY_SIZE)
    if not any(fields):
        return None
    entry = SegmentEntry(*fields)
    data_from = index_pages(page.partitions) * PAGE_SIZE
    if not (
        entry.offset % BLOCK_ALIGNMENT == 0
        and data_from <= entry.offset
        and entry.offset + entry.length <= page.length
        and 0 < entry.largest <= MAX_PAYLOAD
        and entry.blocks * BLOCK_HEADER_SIZE + entry.largest <= entry.length
        and 0 < entry.blocks <= entry.records <= page.records
    ):
        raise BadIndex(f"the entry of partition {partition} contradicts its file: {entry}")
    return entry


def id_bytes(text: str, size: int) -> bytes:
    """An id's bytes from its hex digits; struct would pad or cut a wrong one without a word."""
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise InternalError(f"{text!r} is no id of {size} bytes in hex digits") from error
    if len(raw) != size:
        raise InternalError(f"{text!r} is no id of {size} bytes in hex digits")
    return raw
