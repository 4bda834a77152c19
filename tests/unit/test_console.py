"""What commands write to standard output is all there, whatever it takes at once."""

from __future__ import annotations

import io
import sys

import pytest

from blfs_mr.console import write_out


class Narrow(io.RawIOBase):
    """A standard output without a buffer, which takes seven bytes at once."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, content: memoryview) -> int:  # type: ignore[override]
        self.taken += bytes(content[:7])
        return min(len(content), 7)


def test_an_output_that_takes_less_than_it_is_offered_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Narrow()
    monkeypatch.setattr(sys, "stdout", type("Unbuffered", (), {"buffer": narrow}))
    content = bytes(range(100))
    write_out(content)
    write_out(b"")
    assert narrow.taken == content
