"""The frame decoder: any cut of the stream gives the same frames, and no length is taken on trust."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import FrameTooLarge, LinkClosed, MalformedFrame
from blfs_mr.wire.frames import MAX_FRAME, FrameDecoder, encode_frame, frame_length


def test_a_frame_fed_one_byte_at_a_time_comes_out_once_at_its_last_byte() -> None:
    decoder = FrameDecoder()
    frame = encode_frame(b"hello")
    assert [decoder.feed(frame[i : i + 1]) for i in range(len(frame))] == [[]] * (len(frame) - 1) + [
        [b"hello"]
    ]


def test_two_frames_and_the_beginning_of_a_third_in_one_read() -> None:
    decoder = FrameDecoder()
    third = encode_frame(b"three")
    assert decoder.feed(encode_frame(b"one") + encode_frame(b"two") + third[:6]) == [b"one", b"two"]
    assert decoder.feed(third[6:]) == [b"three"]
    decoder.eof()


@settings(max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 30))
def test_any_cut_of_the_stream_gives_the_same_frames(bodies: list[bytes], step: int) -> None:
    stream = b"".join(map(encode_frame, bodies))
    decoder = FrameDecoder()
    got = [body for at in range(0, len(stream), step) for body in decoder.feed(stream[at : at + step])]
    decoder.eof()
    assert got == bodies


def test_an_oversized_length_is_refused_as_soon_as_its_four_bytes_are_there() -> None:
    decoder = FrameDecoder(max_frame=10)
    assert decoder.feed((11).to_bytes(4, "big")[:3]) == []
    with pytest.raises(FrameTooLarge, match="11 bytes; at most 10"):
        decoder.feed(b"\x0b")


def test_the_largest_allowed_frame_passes() -> None:
    assert FrameDecoder(max_frame=10).feed(encode_frame(bytes(10))) == [bytes(10)]
    assert frame_length(MAX_FRAME.to_bytes(4, "big"), MAX_FRAME) == MAX_FRAME


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(MalformedFrame, match="without a body"):
        FrameDecoder().feed(bytes(4))
    with pytest.raises(MalformedFrame):
        encode_frame(b"")


def test_a_decoder_that_has_refused_a_frame_takes_no_more() -> None:
    decoder = FrameDecoder(max_frame=10)
    with pytest.raises(FrameTooLarge):
        decoder.feed(b"\xff" * 8)
    with pytest.raises(MalformedFrame, match="at most 10"):
        decoder.feed(encode_frame(b"fine"))


@pytest.mark.parametrize(
    ("kept", "told"), [(2, "2 of the 4 bytes"), (4, "0 of 5 bytes"), (7, "3 of 5 bytes")]
)
def test_a_stream_that_ends_inside_a_frame_is_told_from_one_that_ends_between(kept: int, told: str) -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(b"12345")[:kept])
    with pytest.raises(LinkClosed, match=told):
        decoder.eof()


def test_a_body_above_the_cap_is_not_sent() -> None:
    with pytest.raises(FrameTooLarge):
        encode_frame(bytes(MAX_FRAME + 1))


def test_a_long_frame_in_small_pieces_takes_linear_time() -> None:
    # Quadratic buffering would copy some 16 GiB here and run for seconds; linear takes milliseconds.
    body = bytes(4 * 1024 * 1024)
    frame = encode_frame(body)
    decoder = FrameDecoder()
    got = [one for at in range(0, len(frame), 512) for one in decoder.feed(frame[at : at + 512])]
    assert got == [body]
