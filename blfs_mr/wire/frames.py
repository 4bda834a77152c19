"""Where one message ends and the next begins: a 4-byte big-endian length, then so many bytes.

The length is judged as soon as its four bytes are there, before any byte of the body is kept, so a peer
cannot make us reserve memory by announcing a large frame.
"""

from __future__ import annotations

from blfs_mr.errors import FrameTooLarge, LinkClosed, MalformedFrame

PREFIX_SIZE = 4

MAX_FRAME = 16 * 1024 * 1024
"""Bytes of the largest body. The largest legitimate message is ``SubmitJob``: a job file of at most 4 MiB and
100,000 input splits of some 120 bytes each need 15.7 MiB."""

HANDSHAKE_MAX_FRAME = 4096
"""Bytes of the largest body before the peer has proven the secret. A ``Hello`` whose names are as long as
they may be takes 3.3 KB; a stranger gets no more memory than one page."""


def encode_frame(body: bytes) -> bytes:
    """Put the length before ``body``. Raises :class:`FrameTooLarge` above :data:`MAX_FRAME` bytes."""
    _check_length(len(body), MAX_FRAME)
    return len(body).to_bytes(PREFIX_SIZE, "big") + body


def frame_length(prefix: bytes, max_frame: int) -> int:
    """The bytes of the body that follows ``prefix`` (four bytes).

    Raises :class:`FrameTooLarge` above ``max_frame``, :class:`MalformedFrame` for an empty body.
    """
    length = int.from_bytes(prefix, "big")
    _check_length(length, max_frame)
    return length


def _check_length(length: int, max_frame: int) -> None:
    if length > max_frame:
        raise FrameTooLarge(f"a frame of {length} bytes; at most {max_frame} are allowed here")
    if length == 0:
        raise MalformedFrame("a frame without a body")


class FrameDecoder:
    """Turns a stream of bytes, cut anywhere, back into frame bodies.

    Holds at most one incomplete frame of ``max_frame`` bytes beside what one ``feed`` brought. After it has
    raised, the stream has no known frame boundary any more, and every further ``feed`` raises the same.
    """

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        # A bytearray drops bytes from its front without moving the rest, and grows in amortised constant
        # time: a frame that arrives byte by byte costs no more than linear time.
        self._buffer = bytearray()
        self._body_length: int | None = None
        self._broken: str | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived; return the bodies that are complete now, in order.

        Raises :class:`FrameTooLarge` or :class:`MalformedFrame`. Frames that stood before the bad one in the
        same ``data`` are lost with it: the connection ends, and its peer is not to be trusted.
        """
        if self._broken is not None:
            raise MalformedFrame(self._broken)
        self._buffer += data
        bodies: list[bytes] = []
        while True:
            if self._body_length is None:
                if len(self._buffer) < PREFIX_SIZE:
                    return bodies
                self._body_length = self._take_prefix()
            if len(self._buffer) < self._body_length:
                return bodies
            bodies.append(bytes(memoryview(self._buffer)[: self._body_length]))
            del self._buffer[: self._body_length]
            self._body_length = None

    def eof(self) -> None:
        """The peer has sent its last byte. Raises :class:`LinkClosed` if that cut a frame short."""
        if self._body_length is not None:
            got, expected = len(self._buffer), self._body_length
            raise LinkClosed(f"the connection ended inside a frame, after {got} of {expected} bytes")
        if self._buffer:
            raise LinkClosed(f"the connection ended after {len(self._buffer)} of the 4 bytes of a length")

    def _take_prefix(self) -> int:
        prefix = bytes(self._buffer[:PREFIX_SIZE])
        try:
            length = frame_length(prefix, self._max_frame)
        except (FrameTooLarge, MalformedFrame) as error:
            self._broken = str(error)
            self._buffer.clear()
            raise
        del self._buffer[:PREFIX_SIZE]
        return length
