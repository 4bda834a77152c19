"""Files compressed with Zstandard, as far as its library is installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blfs_mr.errors import InputError
from tests.unit.formats.round_trip import read_records, write

zstandard = pytest.importorskip("zstandard")


@pytest.mark.parametrize("frames", [1, 3])
def test_a_zstandard_file_reads_as_what_it_holds(tmp_path: Path, frames: int) -> None:
    data = b"first\nsecond line\n" * 50_000 + b"last"
    part = len(data) // frames + 1
    compress = zstandard.ZstdCompressor().compress
    packed = b"".join(compress(data[start : start + part]) for start in range(0, len(data), part))
    path = write(tmp_path, packed, "input.zst")
    assert "\n".join(read_records(path, "lines", 10)).encode() == data


@pytest.mark.parametrize("harm", ["cut", "flipped", "not zstandard"])
def test_a_harmed_zstandard_file_is_named(tmp_path: Path, harm: str) -> None:
    packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(os.urandom(5000)))
    if harm == "cut":
        del packed[-100:]
    elif harm == "flipped":
        packed[2000] ^= 0xFF
    else:
        packed[:2] = b"PK"
    with pytest.raises(InputError, match=r"input\.zst"):
        read_records(write(tmp_path, bytes(packed), "input.zst"), "lines")
