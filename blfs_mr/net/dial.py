"""Connecting to the master, as a worker or as a client."""

from __future__ import annotations

import asyncio
import ssl

from blfs_mr.errors import HandshakeRefused, LinkClosed, ProtocolError
from blfs_mr.model import IncarnationId
from blfs_mr.net.handshake import HANDSHAKE_DEADLINE, fresh_nonce, receive_handshake, send_handshake
from blfs_mr.net.link import READ_CHUNK, KeepAlive, Link
from blfs_mr.net.vocabularies import FROM_MASTER, TO_MASTER
from blfs_mr.tls import check_master
from blfs_mr.wire.handshake import ClientHandshake
from blfs_mr.wire.roles import Role


async def connect(
    host: str,
    port: int,
    *,
    cluster: str,
    secret: bytes,
    role: Role,
    name: str,
    incarnation: IncarnationId,
    lowest_epoch: int = 0,
    tls: ssl.SSLContext | None = None,
    keep_alive: KeepAlive | None = None,
    handshake_deadline: float = HANDSHAKE_DEADLINE,
) -> tuple[Link, int]:
    """An open link to the master at ``host`` and ``port``, and that master's epoch.

    With ``tls``, both show a certificate first.

    Raises :class:`LinkClosed` when nobody answers or the connection ends, :class:`HandshakeRefused` when
    either side refuses the other, another :class:`ProtocolError` when what answers is no master.
    """
    master = f"master at {host}:{port}"
    handshake = ClientHandshake(
        cluster=cluster,
        secret=secret,
        role=role,
        name=name,
        incarnation=incarnation,
        nonce=fresh_nonce(),
        lowest_epoch=lowest_epoch,
    )
    try:
        async with asyncio.timeout(handshake_deadline):
            reader, writer = await _open(host, port, tls)
            try:
                if tls is not None:
                    check_master(writer.get_extra_info("peercert"))
                await _shake_hands(reader, writer, handshake)
            except BaseException as error:
                writer.transport.abort()
                if isinstance(error, LinkClosed):
                    raise LinkClosed(f"{error} with the {master}, whose log may say why") from None
                raise
    except TimeoutError:
        raise LinkClosed(f"the {master} did not answer within {handshake_deadline:g} s") from None
    except HandshakeRefused:
        raise
    except ProtocolError as error:
        raise ProtocolError(f"what answers at {host}:{port} is no blfs_mr master: {error}") from error
    except OSError as error:
        raise LinkClosed(f"the connection to the {master} failed: {error}") from error
    link = Link(
        reader,
        writer,
        incoming=FROM_MASTER[role],
        outgoing=TO_MASTER[role],
        peer=master,
        keep_alive=keep_alive,
    )
    return link, handshake.epoch


async def _open(
    host: str, port: int, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(host, port, limit=READ_CHUNK, ssl=tls)
    except ssl.SSLError as error:
        raise LinkClosed(f"no TLS with {host}:{port}: {error.reason or error}") from error
    except OSError as error:
        raise LinkClosed(
            f"cannot connect to {host}:{port}: {error.strerror or error}; is the master running there?"
        ) from error


async def _shake_hands(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handshake: ClientHandshake
) -> None:
    await send_handshake(writer, handshake.hello())
    while not handshake.done:
        answer = handshake.handle(await receive_handshake(reader))
        if answer is not None:
            await send_handshake(writer, answer)
