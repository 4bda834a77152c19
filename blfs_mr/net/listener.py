"""The master's listening port: prove every peer, then hand over its link. Whatever comes, it keeps serving.

Strangers get little: one page of memory for a frame, ten seconds, and a bounded number of places. What they
do wrong is logged with their address, and closes their connection only. Whom it admits can be changed while
links are open (:meth:`Listener.admit`); each connection is received by what holds when it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Container

from blfs_mr.errors import ConfigError, HandshakeRefused, LinkClosed, ProtocolError
from blfs_mr.model import IncarnationId
from blfs_mr.net.handshake import HANDSHAKE_DEADLINE, fresh_nonce, receive_handshake, send_handshake
from blfs_mr.net.link import READ_CHUNK, KeepAlive, Link
from blfs_mr.net.vocabularies import FROM_MASTER, TO_MASTER
from blfs_mr.tls import Identity, check_peer, identity_of
from blfs_mr.values import dataclass
from blfs_mr.wire.handshake import ServerHandshake
from blfs_mr.wire.messages.handshake import HandshakeFailed
from blfs_mr.wire.roles import Role

logger = logging.getLogger("blfs_mr.net")

MAX_UNPROVEN = 256
"""Connections in their handshake at one time. All workers of a cluster may come at once after a restart, and
each is through in milliseconds; strangers who stay can hold this many, some 32 MiB of stream buffers, for ten
seconds. Beyond it connections are closed at once, and workers try again."""


BACKLOG = 256
"""Connections that the kernel keeps until they are accepted: a whole cluster that comes at once."""

NO_RESOURCES_PAUSE = 1.0
"""Seconds before accepting again when this process had no descriptor or memory for a connection."""

NOT_REVOKED: Container[int] = frozenset()


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
        secrets: tuple[bytes, ...],
        tls: ssl.SSLContext | None,
        epoch: int,
        on_link: OnLink,
        keep_alive: KeepAlive | None,
        handshake_deadline: float,
    ) -> None:
        self._cluster, self._epoch = cluster, epoch
        self._secrets, self._tls = secrets, tls
        self._on_link, self._keep_alive = on_link, keep_alive
        self._handshake_deadline = handshake_deadline
        self._accepting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._links: dict[Link, Identity] = {}
        self._unproven = 0
        self.port = 0

    async def open(self, host: str, port: int, listening: socket.socket | None) -> None:
        """Begin to listen. Raises :class:`ConfigError` when ``host`` and ``port`` cannot be had."""
        try:
            sock = listening or await _listen(host, port)
        except (OSError, OverflowError) as error:
            raise ConfigError(_why_not(host, port, error)) from error
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept(sock))
        logger.info("listening on %s port %d%s", host, self.port, " with TLS" if self._tls else "")

    def admit(
        self, secrets: tuple[bytes, ...], tls: ssl.SSLContext | None, revoked: Container[int] = NOT_REVOKED
    ) -> None:
        """From now on admit who proves one of ``secrets``, over TLS with ``tls`` unless that is None.

        Open links stay, except those of certificates whose serial numbers are ``revoked``.
        """
        self._secrets, self._tls = secrets, tls
        for link, identity in list(self._links.items()):
            if identity.serial in revoked:
                link.abort(f"the certificate of {identity.role} {identity.name} is revoked")

    async def close(self) -> None:
        """Stop listening, cancel what ``on_link`` still runs, and close all links, after what was sent."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        """Accept for ever. asyncio's server has one TLS context for good, and is silent on who fails."""
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    sock, name = await loop.sock_accept(listening)
                except OSError as error:
                    logger.error("a connection cannot be accepted: %s", error)
                    await asyncio.sleep(NO_RESOURCES_PAUSE)
                    continue
                connection = loop.create_task(self._serve_connection(sock, f"{name[0]}:{name[1]}"))
                self._connections.add(connection)
                connection.add_done_callback(self._connections.discard)

    async def _serve_connection(self, sock: socket.socket, address: str) -> None:
        try:
            reader, writer, peer, identity = await self._prove(sock, address)
        except (ProtocolError, LinkClosed, OSError) as error:
            # TimeoutError, an OSError too, has no text of its own.
            logger.info(
                "connection from %s refused: %s", address, str(error) or "the handshake took too long"
            )
            return
        link = Link(
            reader,
            writer,
            incoming=TO_MASTER[peer.role],
            outgoing=FROM_MASTER[peer.role],
            peer=str(peer),
            keep_alive=self._keep_alive,
        )
        if identity is not None:
            self._links[link] = identity
        try:
            await self._on_link(link, peer)
        finally:
            self._links.pop(link, None)
            await link.close()

    async def _prove(
        self, sock: socket.socket, address: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Peer, Identity | None]:
        if self._unproven >= MAX_UNPROVEN:
            sock.close()
            raise LinkClosed(f"{self._unproven} other connections are in their handshake already")
        self._unproven += 1
        try:
            async with asyncio.timeout(self._handshake_deadline):
                reader, writer = await _streams(sock, self._tls)
                try:
                    identity = None if self._tls is None else identity_of(writer.get_extra_info("peercert"))
                    peer = await self._shake_hands(reader, writer, address, identity)
                except asyncio.CancelledError:
                    writer.transport.abort()
                    raise
                except BaseException:
                    await _close(writer)
                    raise
                return reader, writer, peer, identity
        finally:
            self._unproven -= 1

    async def _shake_hands(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: str,
        identity: Identity | None,
    ) -> Peer:
        handshake = ServerHandshake(
            cluster=self._cluster, secrets=self._secrets, epoch=self._epoch, nonce=fresh_nonce()
        )
        while handshake.peer is None:
            message = await receive_handshake(reader)
            try:
                answer = handshake.handle(message)
                if identity is not None and (claims := handshake.peer) is not None:
                    check_peer(identity, claims.role, claims.name)
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
    secrets: tuple[bytes, ...],
    tls: ssl.SSLContext | None = None,
    epoch: int,
    on_link: OnLink,
    keep_alive: KeepAlive | None = None,
    handshake_deadline: float = HANDSHAKE_DEADLINE,
    listening: socket.socket | None = None,
) -> Listener:
    """Listen on ``host`` and ``port`` (0 for any free one) and call ``on_link`` for each proven peer.

    ``listening`` is a socket that listens there already, when whoever starts this had to know the port first.

    Peers prove one of ``secrets``; with ``tls``, each shows a certificate for who it is besides.

    ``on_link`` runs in a task of its own and has the link until it returns; then the link is closed. Raises
    :class:`ConfigError` when the port cannot be had.
    """
    listener = Listener(
        cluster=cluster,
        secrets=secrets,
        tls=tls,
        epoch=epoch,
        on_link=on_link,
        keep_alive=keep_alive,
        handshake_deadline=handshake_deadline,
    )
    await listener.open(host, port, listening)
    return listener


async def _listen(host: str, port: int) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, address = found[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)


async def _streams(
    sock: socket.socket, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams over an accepted socket, once the peer's certificate is verified. Raises OSError."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_CHUNK, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=tls)
    except BaseException:
        sock.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


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
