"""A table cut into payloads and read back is the same table, and a payload that is none is named."""

from __future__ import annotations

import os

import pyarrow as pa
import pytest

from blfs_mr.arrow.blocks import decode_payload, encode_table
from blfs_mr.errors import BadBlock
from blfs_mr.spill.format import MAX_PAYLOAD

TABLE = pa.table({"n": pa.array([*range(999), None]), "s": [str(at) * (at % 7) for at in range(1000)]})


@pytest.mark.parametrize("compression", ["", "zstd", "lz4"])
def test_a_table_comes_back_as_it_was(compression: str) -> None:
    chunked = pa.concat_tables([TABLE.slice(0, 300), TABLE.slice(300)])
    blocks = [(bytes(block.payload), block.records) for block in encode_table(chunked, 4096, compression)]
    batches = [decode_payload(payload) for payload, _ in blocks]
    assert pa.Table.from_batches(batches).equals(TABLE)
    assert [batch.num_rows for batch in batches] == [records for _, records in blocks]
    assert len(blocks) > 3


def test_payloads_are_of_about_the_size_asked_for() -> None:
    sizes = [len(block.payload) for block in encode_table(TABLE, 4096, "")]
    assert max(sizes) < 2 * 4096


def test_what_cannot_be_compressed_still_fits() -> None:
    noise = pa.table({f"c{at}": [os.urandom(50) for _ in range(200)] for at in range(40)})
    for compression in ("zstd", "lz4"):
        batches = [decode_payload(bytes(b.payload)) for b in encode_table(noise, 1 << 20, compression)]
        assert pa.Table.from_batches(batches).equals(noise)


def test_uneven_rows_are_cut_to_the_largest_block() -> None:
    large = MAX_PAYLOAD * 2 // 3
    table = pa.table({"b": pa.array([b"x"] * 100 + [bytes(large)] * 2, pa.binary())})
    blocks = [(len(b.payload), b.records, b.oversized) for b in encode_table(table, MAX_PAYLOAD, "")]
    assert all(size <= MAX_PAYLOAD and not oversized for size, _, oversized in blocks)
    assert sum(records for _, records, _ in blocks) == 102


def test_a_row_that_no_block_takes_is_marked() -> None:
    blocks = [b.oversized for b in encode_table(pa.table({"b": [bytes(MAX_PAYLOAD + 1)]}), 4096, "")]
    assert blocks == [True]


def test_columns_use_the_memory_of_the_payload() -> None:
    (block,) = encode_table(pa.table({"n": pa.array(range(100), pa.int64())}), 1 << 20, "")
    payload = bytearray(block.payload)
    batch = decode_payload(memoryview(payload))
    at = payload.index((99).to_bytes(8, "little"))
    payload[at : at + 8] = (7).to_bytes(8, "little")
    assert batch.column(0)[99].as_py() == 7


@pytest.mark.parametrize("payload", [b"", b"\x93nonsense", b"\xff\xff\xff\xff\x00\x00\x00\x00"])
def test_a_payload_that_is_no_stream_is_a_bad_block(payload: bytes) -> None:
    with pytest.raises(BadBlock):
        decode_payload(payload)
