"""A link's end where there is no event loop: a task process' to its worker, a submitter's to the master.

The same frames and messages as ``blfs_mr.net.link`` has, on one blocking socket. One thread uses it,
beside which another one may only send. It sends no
heartbeats by itself: on a socket pair the kernel tells of a death, and a submitter answers the master's.
"""

from __future__ import annotations

import os
import socket
import threading
import types
from collections import deque
from typing import TYPE_CHECKING, TypeVar, cast, overload

from blfs_mr.errors import LinkClosed, ProtocolError, RequestFailed
from blfs_mr.model import IncarnationId
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import FrameDecoder, encode_frame
from blfs_mr.wire.handshake import NONCE_SIZE, ClientHandshake
from blfs_mr.wire.messages.base import Message, Refused
from blfs_mr.wire.messages.client import ClientToMaster, MasterToClient
from blfs_mr.wire.messages.handshake import HandshakeMessage
from blfs_mr.wire.roles import Role

if TYPE_CHECKING:
    import ssl  # Loaded by who makes a context: to count words on one host nothing needs it.

READ_CHUNK = 64 * 1024
"""Bytes asked for at once: most replies are far smaller, and a long one comes in a few pieces."""

DIAL_DEADLINE = 10.0
"""Seconds for connecting and for each step of the handshake, as the master's own."""

Reply = TypeVar("Reply", bound=Message)


class BlockingLink:
    """Owns ``sock``, a connected stream socket. ``incoming`` and ``outgoing`` are the vocabularies."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        incoming: types.UnionType,
        outgoing: types.UnionType,
        peer: str = "worker",
    ) -> None:
        self._socket, self._peer = sock, peer
        self._socket.setblocking(True)
        self.speak(incoming=incoming, outgoing=outgoing)
        self._decoder = FrameDecoder()
        # Frames come in bunches, and notifications while a reply is awaited. A child is sent its task
        # and then nothing but replies, a submitter a few notes a second, so neither can pile up.
        self._bodies: deque[bytes] = deque()
        self._notifications: deque[Message] = deque()
        self._last_request = 0
        self._sending = threading.Lock()

    def speak(self, *, incoming: types.UnionType, outgoing: types.UnionType) -> None:
        """Go on with other vocabularies, once a handshake is over."""
        self._incoming, self._outgoing = codec_for(incoming), codec_for(outgoing)

    def send(self, message: Message) -> None:
        """Send a notification; waits while the peer is busy. Raises :class:`LinkClosed`."""
        self._write(Envelope(message))

    @overload
    def request(self, message: Message) -> Message: ...
    @overload
    def request(self, message: Message, *, expect: type[Reply]) -> Reply: ...

    def request(self, message: Message, *, expect: type[Reply] | None = None) -> Message:
        """Send a request and wait for its reply, which must be of the type ``expect`` if that is given.

        Raises :class:`RequestFailed` when the peer refuses, :class:`LinkClosed`, :class:`ProtocolError`.
        """
        self._last_request += 1
        self._write(Envelope(message, id=self._last_request))
        while True:
            envelope = self._read()
            if envelope.reply_to is None:
                self._notifications.append(envelope.message)
                continue
            reply = envelope.message
            if envelope.reply_to != self._last_request:
                raise ProtocolError(f"{type(reply).__name__} replies to a request that does not wait for it")
            if isinstance(reply, Refused):
                raise RequestFailed(reply.reason)
            if expect is not None and not isinstance(reply, expect):
                raise ProtocolError(f"{type(message).__name__} was answered with {type(reply).__name__}")
            return reply

    def receive(self) -> Message:
        """Wait for the next message that is no reply. Raises :class:`LinkClosed`, :class:`ProtocolError`."""
        if self._notifications:
            return self._notifications.popleft()
        envelope = self._read()
        if envelope.reply_to is not None:
            raise ProtocolError(f"{type(envelope.message).__name__} replies to nothing")
        return envelope.message

    def set_deadline(self, seconds: float) -> None:
        """Count the peer as gone when it takes, or says, nothing for so long. Without this, wait for ever."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _write(self, envelope: Envelope) -> None:
        try:
            with self._sending:
                self._socket.sendall(encode_frame(self._outgoing.encode(envelope)))
        except OSError as error:
            raise LinkClosed(f"the {self._peer} cannot be reached: {error}") from error

    def _read(self) -> Envelope:
        while not self._bodies:
            try:
                chunk = self._socket.recv(READ_CHUNK)
            except OSError as error:
                raise LinkClosed(f"the {self._peer} cannot be reached: {error}") from error
            if not chunk:
                self._decoder.eof()
                raise LinkClosed(f"the {self._peer} has closed the link")
            self._bodies.extend(self._decoder.feed(chunk))
        return self._incoming.decode(self._bodies.popleft())


def dial(
    host: str, port: int, *, cluster: str, secret: bytes, name: str, tls: ssl.SSLContext | None = None
) -> BlockingLink:
    """A client's proven link to the master at ``host`` and ``port``; with ``tls``, both show a certificate.

    Raises :class:`LinkClosed` when nobody answers, :class:`HandshakeRefused` when either side refuses.
    """
    try:
        sock = socket.create_connection((host, port), timeout=DIAL_DEADLINE)
    except OSError as error:
        raise LinkClosed(
            f"cannot connect to {host}:{port}: {error.strerror or error}; is the master running there?"
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        sock = _with_tls(sock, tls, f"{host}:{port}")
    handshake = ClientHandshake(
        cluster=cluster,
        secret=secret,
        role=Role.CLIENT,
        name=name,
        incarnation=IncarnationId(os.urandom(8).hex()),
        nonce=os.urandom(NONCE_SIZE),
    )
    link = BlockingLink(sock, incoming=HandshakeMessage, outgoing=HandshakeMessage, peer="master")
    link.set_deadline(DIAL_DEADLINE)
    link.send(handshake.hello())
    while not handshake.done:
        answer = handshake.handle(cast(HandshakeMessage, link.receive()))
        if answer is not None:
            link.send(answer)
    link.speak(incoming=MasterToClient, outgoing=ClientToMaster)
    return link


def _with_tls(sock: socket.socket, tls: ssl.SSLContext, address: str) -> socket.socket:
    """``sock`` under TLS, with a master at the other end."""
    from blfs_mr.tls import check_master

    try:
        wrapped = tls.wrap_socket(sock)
    except OSError as error:
        sock.close()
        raise LinkClosed(f"no TLS with {address}: {getattr(error, 'reason', None) or error}") from error
    check_master(wrapped.getpeercert())
    return wrapped
