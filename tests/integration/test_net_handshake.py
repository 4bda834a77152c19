"""Listener and dialling side over real TCP: who gets a link, and that nobody stops the listener."""

from __future__ import annotations

import asyncio
import logging
import typing
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import uvloop

from blfs_mr.errors import ConfigError, HandshakeRefused, LinkClosed, ProtocolError
from blfs_mr.model import IncarnationId
from blfs_mr.net import KeepAlive, Link, Listener, Peer, connect, listener, serve
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import encode_frame
from blfs_mr.wire.handshake import PROTOCOL_VERSION, ClientHandshake
from blfs_mr.wire.messages.client import ClientToMaster, ClusterDescription, DescribeCluster, JobDefaults
from blfs_mr.wire.messages.handshake import HandshakeFailed, HandshakeMessage
from blfs_mr.wire.roles import Role

SECRET = b"s" * 32
KEEP_ALIVE = KeepAlive(heartbeat_interval=1.0, dead_after=10.0)
DESCRIPTION = ClusterDescription("host", (), (), (), JobDefaults(4, 2**28, 2**18))

DESCRIBE_CLUSTER = encode_frame(codec_for(ClientToMaster).encode(Envelope(DescribeCluster(), id=1)))


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return typing.cast(asyncio.AbstractEventLoopPolicy, request.param())


class Master:
    """A listener that answers every request with a description and remembers its peers."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.ended: list[str | None] = []
        self.listener: Listener

    async def open(self, **options: typing.Any) -> Master:
        chosen: dict[str, typing.Any] = {"cluster": "lab", "secrets": (SECRET,), "epoch": 7, **options}
        self.listener = await serve("127.0.0.1", 0, on_link=self._on_link, keep_alive=KEEP_ALIVE, **chosen)
        return self

    async def _on_link(self, link: Link, peer: Peer) -> None:
        self.peers.append(peer)
        async for envelope in link:
            await link.reply(envelope, DESCRIPTION)
        self.ended.append(link.closed_reason)

    async def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.listener.port)

    async def dial(self, **options: typing.Any) -> tuple[Link, int]:
        chosen: dict[str, typing.Any] = {
            "cluster": "lab",
            "secret": SECRET,
            "role": Role.CLIENT,
            "name": "submit",
            "incarnation": IncarnationId("00000000000000aa"),
            **options,
        }
        return await connect("127.0.0.1", self.listener.port, **chosen)

    async def assert_serving(self) -> None:
        """The only proof that the listener lives: a new client gets its answer."""
        link, _ = await self.dial()
        assert await link.request(DescribeCluster(), expect=ClusterDescription) == DESCRIPTION
        await link.close()


@pytest.fixture
async def master() -> AsyncIterator[Master]:
    opened = await Master().open()
    yield opened
    await opened.listener.close()


async def test_a_proven_client_gets_a_link_and_its_answer(master: Master) -> None:
    link, epoch = await master.dial(keep_alive=KEEP_ALIVE)
    assert epoch == 7
    assert await link.request(DescribeCluster(), timeout=10) == DESCRIPTION
    await link.close()
    (peer,) = master.peers
    assert (peer.role, peer.name, peer.incarnation) == (Role.CLIENT, "submit", "00000000000000aa")
    assert peer.address.startswith("127.0.0.1:")


async def test_the_role_decides_what_may_be_said(master: Master) -> None:
    worker, _ = await master.dial(role=Role.WORKER, name="node-1")
    worker._writer.write(DESCRIBE_CLUSTER)
    assert [envelope async for envelope in worker] == []
    await worker.close()
    await master.assert_serving()
    assert master.ended[0] is not None
    assert "unknown message 'DescribeCluster'" in master.ended[0]


async def test_a_wrong_secret_is_refused_on_both_sides_and_logged(
    master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "blfs_mr.net")
    with pytest.raises(HandshakeRefused, match="master refused the connection: the cluster secrets differ"):
        await master.dial(secret=b"another")
    await master.assert_serving()
    assert any("refused: the cluster secrets differ" in line for line in caplog.messages)
    assert len(master.peers) == 1


async def test_another_cluster_and_a_replaced_master_are_refused(master: Master) -> None:
    with pytest.raises(HandshakeRefused, match="'lab' here, 'other' there"):
        await master.dial(cluster="other")
    with pytest.raises(HandshakeRefused, match="epoch is 7, but 8"):
        await master.dial(lowest_epoch=8)
    await master.assert_serving()


async def test_another_version_is_answered_with_both_versions(master: Master) -> None:
    codec = codec_for(HandshakeMessage)
    handshake = ClientHandshake(
        cluster="lab",
        secret=SECRET,
        role=Role.CLIENT,
        name="old",
        incarnation=IncarnationId("aa"),
        nonce=bytes(32),
    )
    hello = replace(handshake.hello(), version=PROTOCOL_VERSION + 1)
    reader, writer = await master.streams()
    writer.write(encode_frame(codec.encode(Envelope(hello))))
    answer = codec.decode((await reader.read())[4:]).message
    writer.close()
    assert isinstance(answer, HandshakeFailed)
    assert f"{PROTOCOL_VERSION} here, {PROTOCOL_VERSION + 1} there" in answer.reason


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a frame of 1195725856 bytes; at most 4096"),
        (b"\x00\x00\x10\x01", "a frame of 4097 bytes; at most 4096"),
        (bytes(100), "a frame without a body"),
        (encode_frame(b"\xc1\xc1"), "no msgpack"),
        (DESCRIBE_CLUSTER, "unknown message 'DescribeCluster'"),
        (b"\x00\x00", "ended during the handshake"),
        (b"", "ended during the handshake"),
    ],
)
async def test_garbage_closes_that_connection_with_a_logged_reason_and_leaves_the_port_serving(
    master: Master, caplog: pytest.LogCaptureFixture, garbage: bytes, reason: str
) -> None:
    caplog.set_level(logging.INFO, "blfs_mr.net")
    reader, writer = await master.streams()
    writer.write(garbage)
    writer.write_eof()
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        pass  # unread bytes at the other end make the kernel say it this way
    writer.close()
    await master.assert_serving()
    assert any("127.0.0.1:" in line and reason in line for line in caplog.messages)


async def test_a_silent_stranger_is_cut_off_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "blfs_mr.net")
    master = await Master().open(handshake_deadline=0.02)
    reader, writer = await master.streams()
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await master.listener.close()
    assert any("the handshake took too long" in line for line in caplog.messages)


async def test_strangers_beyond_the_limit_are_closed_at_once_and_places_become_free_again(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MAX_UNPROVEN", 2)
    idle = [await master.streams() for _ in range(2)]
    with pytest.raises(LinkClosed):
        await master.dial()
    for _, writer in idle:
        writer.close()
    for reader, _ in idle:
        await reader.read()
    await master.assert_serving()


async def test_proven_links_are_not_limited(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_UNPROVEN", 1)
    links = [(await master.dial())[0] for _ in range(5)]
    await master.assert_serving()
    for link in links:
        await link.close()


async def test_a_busy_port_is_an_error_of_the_configuration(master: Master) -> None:
    port = master.listener.port
    with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is in use by another process"):
        await serve("127.0.0.1", port, cluster="lab", secrets=(SECRET,), epoch=1, on_link=master._on_link)


async def test_an_address_of_another_host_is_an_error_of_the_configuration(master: Master) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on port 0 of 192\.0\.2\.1"):
        await serve("192.0.2.1", 0, cluster="lab", secrets=(SECRET,), epoch=1, on_link=master._on_link)


async def test_connecting_where_nobody_listens_asks_whether_the_master_runs(master: Master) -> None:
    await master.listener.close()
    with pytest.raises(LinkClosed, match=r"cannot connect to 127.0.0.1:\d+: .*is the master running there\?"):
        await master.dial()


async def test_connecting_to_something_else_than_a_master_says_so(master: Master) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    master.listener.port = server.sockets[0].getsockname()[1]
    with pytest.raises(ProtocolError, match="is no blfs_mr master: a frame of"):
        await master.dial()
    server.close()


async def test_a_master_that_does_not_answer_is_given_up_at_the_deadline(master: Master) -> None:
    release = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    master.listener.port = server.sockets[0].getsockname()[1]
    with pytest.raises(LinkClosed, match=r"did not answer within 0\.02 s"):
        await master.dial(handshake_deadline=0.02)
    release.set()
    server.close()


async def test_closing_the_listener_ends_its_links(master: Master) -> None:
    link, _ = await master.dial()
    assert await link.request(DescribeCluster()) == DESCRIPTION
    await master.listener.close()
    assert [envelope async for envelope in link] == []
    assert link.closed_reason == "the peer closed it"
    await link.close()
