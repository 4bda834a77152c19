"""Handshake messages over asyncio streams, before there is a link.

They are read one frame at a time and not a byte beyond, with the small cap of strangers: what follows the
last of them belongs to the link.
"""

from __future__ import annotations

import asyncio
import os
import typing

from blfs_mr.errors import LinkClosed
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import HANDSHAKE_MAX_FRAME, PREFIX_SIZE, encode_frame, frame_length
from blfs_mr.wire.handshake import NONCE_SIZE
from blfs_mr.wire.messages.handshake import HandshakeMessage

HANDSHAKE_DEADLINE = 10.0
"""Seconds for the whole handshake: four small messages, and time for a master that is busy starting."""

_codec = codec_for(HandshakeMessage)


def fresh_nonce() -> bytes:
    """Random bytes that no handshake had before."""
    return os.urandom(NONCE_SIZE)


async def receive_handshake(reader: asyncio.StreamReader) -> HandshakeMessage:
    """The next message. Raises :class:`ProtocolError`, :class:`LinkClosed`, :class:`OSError`."""
    try:
        length = frame_length(await reader.readexactly(PREFIX_SIZE), HANDSHAKE_MAX_FRAME)
        body = await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise LinkClosed("the connection ended during the handshake") from None
    return typing.cast(HandshakeMessage, _codec.decode(body).message)


async def send_handshake(writer: asyncio.StreamWriter, message: HandshakeMessage) -> None:
    """Send one message. Raises :class:`OSError`."""
    writer.write(encode_frame(_codec.encode(Envelope(message))))
    await writer.drain()
