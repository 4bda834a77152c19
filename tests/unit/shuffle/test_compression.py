"""Compressed payloads: what is kept, what comes back, and what a hostile header cannot do."""

from __future__ import annotations

import builtins
import struct
import tracemalloc
from typing import Any

import pytest

from blfs_mr.errors import BadBlock, UsageError
from blfs_mr.shuffle import Batch, decode_batch, encode_batch, encode_in_blocks
from blfs_mr.shuffle.compression import MAX_PLAIN, check_available, compressor, decompressed

CODECS = ["zstd", "lz4"]
BATCH = Batch([f"key {number}" for number in range(1000)], None, list(range(1000)))


@pytest.mark.parametrize("name", CODECS)
def test_a_compressed_payload_gives_its_batch_back(name: str) -> None:
    compress = compressor(name)
    assert compress is not None
    plain = encode_batch(BATCH)
    payload = compress(plain)
    assert len(payload) < len(plain) * 3 / 4
    assert decode_batch(payload) == BATCH
    assert decode_batch(memoryview(payload)) == BATCH


@pytest.mark.parametrize("name", CODECS)
def test_what_does_not_shrink_stays_plain(name: str) -> None:
    compress = compressor(name)
    assert compress is not None
    plain = encode_batch(Batch([1], None, ["short"]))
    assert compress(plain) is plain


def test_no_compression_is_no_compressor() -> None:
    assert compressor("") is None


def test_every_plain_payload_begins_with_the_plain_mark() -> None:
    for batch in (Batch([], None, []), BATCH, Batch([None], [2], [(), ()])):
        plain = encode_batch(batch)
        assert decompressed(plain) is plain


@pytest.mark.parametrize("name", CODECS)
def test_blocks_are_cut_by_their_plain_size(name: str) -> None:
    blocks = list(encode_in_blocks([BATCH], 2048, 4096, compressor(name)))
    plain = list(encode_in_blocks([BATCH], 2048, 4096))
    assert [block.records for block in blocks] == [block.records for block in plain]
    assert sum(len(block.payload) for block in blocks) < sum(len(block.payload) for block in plain)
    assert [key for block in blocks for key in decode_batch(block.payload).keys] == BATCH.keys


def _payload(name: str) -> bytes:
    compress = compressor(name)
    assert compress is not None
    return compress(encode_batch(BATCH))


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("claimed", [0, 1, 100, MAX_PLAIN, MAX_PLAIN + 1, 0xFFFF_FFFF])
def test_a_wrong_length_is_refused_without_allocating_it(name: str, claimed: int) -> None:
    payload = bytearray(_payload(name))
    struct.pack_into("<I", payload, 1, claimed)
    tracemalloc.start()
    try:
        with pytest.raises(BadBlock):
            decode_batch(bytes(payload))
        assert tracemalloc.get_traced_memory()[1] < 2 * MAX_PLAIN + (1 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CODECS)
def test_a_cut_payload_is_refused(name: str) -> None:
    payload = _payload(name)
    for length in (0, 1, 4, 5, 6, len(payload) // 2, len(payload) - 1):
        with pytest.raises(BadBlock):
            decode_batch(payload[:length])


@pytest.mark.parametrize("codec", [0, 3, 0x92, 0xFF])
def test_an_unknown_codec_is_refused(codec: int) -> None:
    with pytest.raises(BadBlock, match=f"codec {codec}"):
        decompressed(bytes([codec]) + _payload("zstd")[1:])


def test_a_frame_that_states_a_size_of_its_own_is_refused() -> None:
    import zstandard

    frame = zstandard.ZstdCompressor(write_content_size=True).compress(bytes(1 << 30))
    with pytest.raises(BadBlock, match="twice"):
        decompressed(struct.pack("<BI", 1, 100) + frame)


def test_an_unknown_compression_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="'zstd', 'lz4'"):
        check_available("gzip")


@pytest.mark.parametrize(("name", "package"), [("zstd", "zstandard"), ("lz4", "lz4")])
def test_a_missing_library_is_named_with_the_way_to_get_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(imported: str, *rest: Any) -> Any:
        if imported.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}")
        return real(imported, *rest)

    payload = _payload(name)
    monkeypatch.setattr(builtins, "__import__", without)
    for use in (check_available, compressor):
        with pytest.raises(UsageError, match=rf"{package}.*pip install 'blfs-mr\[compression\]'"):
            use(name)
    with pytest.raises(UsageError, match=package):
        decompressed(payload)
