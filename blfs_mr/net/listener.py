"""The master's listening port: prove every peer, then hand over its link. Whatever comes, it keeps serving.

Strangers get little: one page of memory for a frame, ten seconds, and a bounded number of places. What they
do wrong is logged with their address, and closes their connection only.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from blfs_mr.errors import ConfigError, HandshakeRefused, LinkClosed, ProtocolError
from blfs_mr.model import IncarnationId
from blfs_mr.net.handshake import HANDSHAKE_DEADLINE, fresh_nonce, receive_handshake, send_handshake
from blfs_mr.net.link import READ_CHUNK, KeepAlive, Link
from blfs_mr.net.vocabularies import FROM_MASTER, TO_MASTER
from blfs_mr.wire.handshake import ServerHandshake
from blfs_mr.wire.messages.handshake import HandshakeFailed
from blfs_mr.wire.roles import Role

logger = logging.getLogger("blfs_mr.net")

MAX_UNPROVEN = 256
"""Connections in their handshake at one time. All workers of a cluster may come at once after a restart, and
each is through in milliseconds; strangers who stay can hold this many, some 32 MiB of stream buffers, for ten
seconds. Beyond it connections are closed at once, and workers try again."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of an accepted link; all but ``address`` (``host:port``) is proven."""

    role: Role
    name: str
    incarnation: IncarnationId
    address: str

    def __str__(self) -> str:
        return f"{self.role} {self.name} at {self.address}"


OnLink = Callable[[Link, Peer], Awaitable[None]]


class Listener:
    """An open listening port. Made by :func:`serve`; ``port`` is the one in use, also where 0 was asked."""

    def __init__(
        self,
        *,
        cluster: str,
        secret: bytes,
        epoch: int,
        on_link: OnLink,
        keep_alive: KeepAlive | None,
        handshake_deadline: float,
    ) -> None:
        self._cluster, self._secret, self._epoch = cluster, secret, epoch
        self._on_link, self._keep_alive = on_link, keep_alive
        self._handshake_deadline = handshake_deadline
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._unproven = 0
        self.port = 0

    async def open(self, host: str, port: int, listening: socket.socket | None) -> None:
        """Begin to listen. Raises :class:`ConfigError` when ``host`` and ``port`` cannot be had."""
        try:
            if listening is not None:
                self._server = await asyncio.start_server(self._accept, sock=listening, limit=READ_CHUNK)
            else:
                self._server = await asyncio.start_server(self._accept, host, port, limit=READ_CHUNK)
        except (OSError, OverflowError) as error:
            raise ConfigError(_why_not(host, port, error)) from error
        self.port = self._server.sockets[0].getsockname()[1]
        logger.info("listening on %s port %d", host, self.port)

    async def close(self) -> None:
        """Stop listening, cancel what ``on_link`` still runs, and close all links, after what was sent."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A callback and not a coroutine: the task is ours to cancel, on every version of Python.
        connection = asyncio.get_running_loop().create_task(self._serve_connection(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("peername") or ("unknown", 0)
        address = f"{name[0]}:{name[1]}"
        try:
            peer = await self._prove(reader, writer, address)
        except (ProtocolError, LinkClosed, OSError) as error:
            # TimeoutError, an OSError too, has no text of its own.
            logger.info(
                "connection from %s refused: %s", address, str(error) or "the handshake took too long"
            )
            await _close(writer)
            return
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        link = Link(
            reader,
            writer,
            incoming=TO_MASTER[peer.role],
            outgoing=FROM_MASTER[peer.role],
            peer=str(peer),
            keep_alive=self._keep_alive,
        )
        try:
            await self._on_link(link, peer)
        finally:
            await link.close()

    async def _prove(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> Peer:
        if self._unproven >= MAX_UNPROVEN:
            raise LinkClosed(f"{self._unproven} other connections are in their handshake already")
        self._unproven += 1
        try:
            async with asyncio.timeout(self._handshake_deadline):
                return await self._shake_hands(reader, writer, address)
        finally:
            self._unproven -= 1

    async def _shake_hands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> Peer:
        handshake = ServerHandshake(
            cluster=self._cluster, secret=self._secret, epoch=self._epoch, nonce=fresh_nonce()
        )
        while handshake.peer is None:
            message = await receive_handshake(reader)
            try:
                answer = handshake.handle(message)
            except HandshakeRefused as refusal:
                await send_handshake(writer, HandshakeFailed(str(refusal)))
                raise
            await send_handshake(writer, answer)
        claims = handshake.peer
        return Peer(claims.role, claims.name, claims.incarnation, address)


async def serve(
    host: str,
    port: int,
    *,
    cluster: str,
    secret: bytes,
    epoch: int,
    on_link: OnLink,
    keep_alive: KeepAlive | None = None,
    handshake_deadline: float = HANDSHAKE_DEADLINE,
    listening: socket.socket | None = None,
) -> Listener:
    """Listen on ``host`` and ``port`` (0 for any free one) and call ``on_link`` for each proven peer.

    ``listening`` is a socket that listens there already, when whoever starts this had to know the port first.

    ``on_link`` runs in a task of its own and has the link until it returns; then the link is closed. Raises
    :class:`ConfigError` when the port cannot be had.
    """
    listener = Listener(
        cluster=cluster,
        secret=secret,
        epoch=epoch,
        on_link=on_link,
        keep_alive=keep_alive,
        handshake_deadline=handshake_deadline,
    )
    await listener.open(host, port, listening)
    return listener


async def _close(writer: asyncio.StreamWriter) -> None:
    # Nothing but a few hundred bytes of refusal can be unsent, so this does not wait for the peer.
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _why_not(host: str, port: int, error: Exception) -> str:
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return (
                f"port {port} of {host} is in use by another process: stop it, or set another port "
                "in config.toml (master.port)"
            )
        case OSError(errno=errno.EACCES):
            return f"port {port} of {host} may not be used by this user: set one above 1023 (master.port)"
        case _:
            return f"cannot listen on port {port} of {host} (master.host, master.port): {error}"
