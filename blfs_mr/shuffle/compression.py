"""Compressed payloads: which codecs there are, and what a payload looks like that one of them made.

The first byte of every payload tells how it is to be read. ``0x93`` begins the plain form, for it is the mark
of the msgpack array of three that such a payload is. Otherwise it names a codec, and is followed by the
length of the plain form (unsigned, 4 bytes, little-endian) and what the codec made of it. So each block
stands for itself, those that would not shrink stay plain, and no job setting is needed to read any.

The libraries come with the extra ``compression`` and are imported by those tasks only that need them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Any, Final

from blfs_mr.errors import BadBlock, UsageError

PLAIN: Final = 0x93
_ZSTD: Final = 1
_LZ4: Final = 2

_HEADER = Struct("<BI")

MAX_PLAIN: Final = 4 << 20
"""Bytes of the largest plain form, as the spill format has it for payloads: a header that lies must not make
a reader ask for all memory."""

WORTH_IT: Final = 7 / 8
"""A compressed payload is kept up to this share of the plain one; for less gain reading it would cost
more."""

_ZSTD_LEVEL: Final = 1
"""The fastest: it outruns most disks and networks, and higher levels gain a tenth for twice the time."""

Compress = Callable[[bytes], bytes]
"""From a plain payload to the one to store, which may be the same."""

_PACKAGES = {"zstd": "zstandard", "lz4": "lz4"}

COMPRESSIONS = ("", *_PACKAGES)
"""The names that a job may give; the empty one is for none."""


def check_available(name: str) -> None:
    """Raise :class:`UsageError`, saying what to do, unless payloads can be compressed by ``name`` here."""
    if name not in COMPRESSIONS:
        known = ", ".join(map(repr, COMPRESSIONS))
        raise UsageError(f"no compression {name!r}; there are: {known}")
    try:
        if name == "zstd":
            import zstandard  # noqa: F401
        elif name == "lz4":
            import lz4.block  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"the compression {name!r} needs the package {_PACKAGES[name]}, which cannot be imported here "
            f"({error}): pip install 'blfs-mr[compression]', on every worker as well"
        ) from error


def compressor(name: str) -> Compress | None:
    """What compresses payloads by ``name``; None for no compression. Raises :class:`UsageError`."""
    check_available(name)
    if name == "zstd":
        import zstandard

        # Without its own word on the size, a frame cannot contradict the payload's header.
        context = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=False)
        return lambda plain: _smaller(plain, _ZSTD, context.compress(plain))
    if name == "lz4":
        import lz4.block

        return lambda plain: _smaller(plain, _LZ4, lz4.block.compress(plain, store_size=False))
    return None


def decompressed(payload: memoryview | bytes) -> memoryview | bytes:
    """The plain form of ``payload``, which is itself if it is plain already.

    Raises :class:`BadBlock` for what no codec here has made, :class:`UsageError` where its library is
    missing.
    """
    if len(payload) and payload[0] == PLAIN:
        return payload
    if len(payload) <= _HEADER.size:
        raise BadBlock(f"a payload of {len(payload)} bytes is neither plain nor compressed")
    codec, length = _HEADER.unpack_from(payload)
    if length > MAX_PLAIN:
        raise BadBlock(f"a compressed payload that claims {length} bytes, of which {MAX_PLAIN} are allowed")
    body = memoryview(payload)[_HEADER.size :]
    if codec == _ZSTD:
        plain = _unzstd(body, length)
    elif codec == _LZ4:
        plain = _unlz4(body, length)
    else:
        raise BadBlock(f"a payload of the unknown codec {codec}")
    if len(plain) != length:
        raise BadBlock(f"a compressed payload of {len(plain)} bytes that claims {length}")
    return plain


def _smaller(plain: bytes, codec: int, body: bytes) -> bytes:
    if _HEADER.size + len(body) > WORTH_IT * len(plain):
        return plain
    return _HEADER.pack(codec, len(plain)) + body


def _unzstd(body: memoryview, length: int) -> bytes:
    check_available("zstd")
    import zstandard

    try:
        # A frame with a size of its own would be given as much memory as it asks for.
        if zstandard.frame_content_size(body) != -1:
            raise BadBlock("a compressed payload that states its size twice")
        plain: bytes = _decompressor().decompress(body, max_output_size=length)
    except zstandard.ZstdError as error:
        raise BadBlock(f"a compressed payload of {len(body)} bytes is broken: {error}") from error
    return plain


def _unlz4(body: memoryview, length: int) -> bytes:
    check_available("lz4")
    import lz4.block

    try:
        plain: bytes = lz4.block.decompress(body, uncompressed_size=length)
    except lz4.block.LZ4BlockError as error:
        raise BadBlock(f"a compressed payload of {len(body)} bytes is broken: {error}") from error
    return plain


@cache
def _decompressor() -> Any:
    """One for all blocks: making it costs as much as a small block. One thread of a task decodes."""
    import zstandard

    # A frame also states the window that it must be given memory for; ours never need more than a block.
    return zstandard.ZstdDecompressor(max_window_size=MAX_PLAIN)
