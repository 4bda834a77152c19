"""A link over a real socket pair, under both event loops: conversation, backpressure, liveness, end."""

from __future__ import annotations

import asyncio
import logging
import socket
import types
import typing
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from blfs_mr.errors import InternalError, LinkClosed, ProtocolError, RequestFailed
from blfs_mr.model import (
    AttemptId,
    Failure,
    FailureKind,
    JobId,
    Lease,
    SharedFile,
    TaskId,
    TaskKind,
    VolumeId,
)
from blfs_mr.net import KeepAlive, Link
from blfs_mr.net import link as link_module
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import encode_frame
from blfs_mr.wire.messages.base import Acknowledged, MapOutputLost, Refused, TaskFailed
from blfs_mr.wire.messages.child import (
    ChildToWorker,
    LeaseGranted,
    LeaseSharedFile,
    NextMapOutput,
    WorkerToChild,
)
from blfs_mr.wire.messages.worker import MasterToWorker, TaskLaunched, WorkerToMaster


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return typing.cast(asyncio.AbstractEventLoopPolicy, request.param())


def attempt(number: int = 1) -> AttemptId:
    return AttemptId(TaskId(JobId("0" * 16), TaskKind.MAP, 0), number)


def granted(generation: int) -> LeaseGranted:
    return LeaseGranted(Lease(SharedFile(VolumeId("v"), "p", 0, 1), generation, attempt()))


def lost(number: int, size: int = 0) -> MapOutputLost:
    return MapOutputLost(attempt(), attempt(number), "x" * size, False)


def framed(vocabulary: types.UnionType, envelope: Envelope) -> bytes:
    return encode_frame(codec_for(vocabulary).encode(envelope))


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until ``condition`` holds; fail after seconds that no working code needs."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to wait on
            await asyncio.sleep(0)


class Pair:
    """A worker's and a child's link on one socket pair."""

    def __init__(self, worker: Link, child: Link) -> None:
        self.worker, self.child = worker, child


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    ours, theirs = socket.socketpair()
    worker = await Link.over_socket(ours, incoming=ChildToWorker, outgoing=WorkerToChild, peer="child")
    child = await Link.over_socket(theirs, incoming=WorkerToChild, outgoing=ChildToWorker, peer="worker")
    yield Pair(worker, child)
    await child.close()
    await worker.close()


@pytest.fixture
async def raw() -> AsyncIterator[tuple[Link, socket.socket]]:
    """A master's link to a worker, and the bare socket at the other end."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    link = await Link.over_socket(ours, incoming=WorkerToMaster, outgoing=MasterToWorker, peer="worker-0")
    yield link, theirs
    theirs.close()
    await link.close()


async def test_a_request_gets_its_reply_and_notifications_arrive_in_order(pair: Pair) -> None:
    async def work() -> list[int]:
        seen: list[int] = []
        async for envelope in pair.worker:
            if isinstance(envelope.message, LeaseSharedFile):
                await pair.worker.reply(envelope, granted(5))
                return seen
            assert isinstance(envelope.message, MapOutputLost)
            seen.append(envelope.message.output.number)
        raise AssertionError

    working = asyncio.create_task(work())
    for number in range(1, 4):
        await pair.child.send(lost(number))
    reply = await pair.child.request(LeaseSharedFile(attempt()), expect=LeaseGranted)
    assert reply.lease.generation == 5
    assert await working == [1, 2, 3]


async def test_concurrent_requests_answered_in_reverse_get_their_own_replies(pair: Pair) -> None:
    requests = [asyncio.create_task(pair.child.request(LeaseSharedFile(attempt(n)))) for n in range(1, 101)]
    asked = [await anext(pair.worker) for _ in requests]
    for envelope in reversed(asked):
        assert isinstance(envelope.message, LeaseSharedFile)
        pair.worker.post(granted(envelope.message.attempt.number), reply_to=envelope)
    assert await asyncio.gather(*requests) == [granted(n) for n in range(1, 101)]


async def test_a_refused_request_raises_the_peer_s_reason(pair: Pair) -> None:
    request = asyncio.create_task(pair.child.request(LeaseSharedFile(attempt())))
    await pair.worker.reply(await anext(pair.worker), Refused("no file is free"))
    with pytest.raises(RequestFailed, match="no file is free"):
        await request


async def test_a_request_that_is_not_answered_in_time_fails_and_its_late_reply_is_dropped(pair: Pair) -> None:
    with pytest.raises(RequestFailed, match=r"worker did not answer LeaseSharedFile within 0\.01 s"):
        await pair.child.request(LeaseSharedFile(attempt()), timeout=0.01)
    late = await anext(pair.worker)
    await pair.worker.reply(late, granted(1))
    second = asyncio.create_task(pair.child.request(LeaseSharedFile(attempt())))
    await pair.worker.reply(await anext(pair.worker), granted(2))
    assert await second == granted(2)


async def test_a_reply_of_another_type_than_expected_closes_the_link(pair: Pair) -> None:
    request = asyncio.create_task(pair.child.request(LeaseSharedFile(attempt()), expect=LeaseGranted))
    await pair.worker.reply(await anext(pair.worker), Acknowledged())
    with pytest.raises(ProtocolError, match="LeaseSharedFile was answered with Acknowledged"):
        await request
    assert pair.child.closed_reason is not None


async def test_a_notification_cannot_be_answered(pair: Pair) -> None:
    await pair.child.send(lost(1))
    notification = await anext(pair.worker)
    with pytest.raises(InternalError, match="MapOutputLost was no request"):
        await pair.worker.reply(notification, Acknowledged())


async def test_a_sender_waits_while_the_consumer_is_busy_and_nothing_is_lost(pair: Pair) -> None:
    total, sent = 300, 0

    async def send_all() -> None:
        nonlocal sent
        for number in range(1, total + 1):
            await pair.child.send(lost(number, 60_000))
            sent = number

    sending = asyncio.create_task(send_all())
    before = -1
    while sent != before:
        before = sent
        for _ in range(500):
            await asyncio.sleep(0)
    assert 0 < sent < total // 2  # the inbox, two kernel buffers and the transport's, no more
    received = [(await anext(pair.worker)).message for _ in range(total)]
    await sending
    assert received == [lost(number, 60_000) for number in range(1, total + 1)]


async def test_a_consumer_may_await_a_request_while_its_own_inbox_is_full(pair: Pair) -> None:
    async def answer_after_a_flood() -> None:
        request = await anext(pair.worker)
        for _ in range(40):
            await pair.worker.send(Refused("x" * 30_000))  # without a number: a mere notification
        await pair.worker.reply(request, granted(3))

    flooding = asyncio.create_task(answer_after_a_flood())
    assert 4 * link_module.INBOX_PAUSE < 40 * 30_000
    async with asyncio.timeout(10):
        assert await pair.child.request(NextMapOutput(attempt())) == granted(3)
        await flooding
        for _ in range(40):
            await anext(pair.child)


async def test_a_peer_that_floods_us_instead_of_replying_is_cut_off(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "INBOX_CAP", 100_000)
    request = asyncio.create_task(pair.child.request(NextMapOutput(attempt())))
    await anext(pair.worker)

    async def flood() -> None:
        for _ in range(100):
            await pair.worker.send(Refused("x" * 30_000))

    with pytest.raises(LinkClosed):
        await flood()
    with pytest.raises(LinkClosed, match="came while a request waited"):
        await request


async def test_posting_to_a_peer_that_does_not_read_closes_the_link_and_keeps_memory_bounded(
    raw: tuple[Link, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "OUTBOX_CAP", 1_000_000)
    link, _ = raw
    posted = 0
    while link.closed_reason is None and posted < 1000:
        link.post(Refused("x" * 10_000))
        posted += 1
        await asyncio.sleep(0)
    assert link.closed_reason is not None
    assert "too slow" in link.closed_reason
    assert 100 <= posted < 200
    link.post(Refused("does nothing"))
    with pytest.raises(LinkClosed, match="too slow"):
        await link.send(Refused("x"))
    with pytest.raises(StopAsyncIteration):
        await anext(link)


async def test_heartbeats_keep_two_idle_links_open_and_are_invisible() -> None:
    ours, theirs = socket.socketpair()
    master = await Link.over_socket(ours, incoming=WorkerToMaster, outgoing=MasterToWorker, peer="worker")
    worker = await Link.over_socket(theirs, incoming=MasterToWorker, outgoing=WorkerToMaster, peer="master")
    begin = master.last_heard
    for link in (master, worker):
        link.keep_alive(KeepAlive(heartbeat_interval=0.01, dead_after=5.0))
    await until(lambda: master.last_heard > begin + 0.05 and worker.last_heard > begin + 0.05)
    await worker.send(TaskLaunched(attempt(), 1))
    assert (await anext(master)).message == TaskLaunched(attempt(), 1)
    await worker.close()
    await master.close()


async def test_a_silent_peer_is_cut_off_and_the_consumer_learns_why(raw: tuple[Link, socket.socket]) -> None:
    link, _ = raw
    link.keep_alive(KeepAlive(heartbeat_interval=0.01, dead_after=0.05))
    async with asyncio.timeout(10):
        assert [envelope async for envelope in link] == []
    assert link.closed_reason == "nothing was heard from it for 0.05 s"


async def test_a_peer_is_not_silent_while_it_is_we_who_do_not_read(raw: tuple[Link, socket.socket]) -> None:
    link, theirs = raw
    frame = framed(WorkerToMaster, Envelope(lost(1, 60_000)))
    loop = asyncio.get_running_loop()
    flooding = asyncio.create_task(loop.sock_sendall(theirs, frame * 20))
    link.keep_alive(KeepAlive(heartbeat_interval=0.01, dead_after=0.05))
    begin = loop.time()
    await until(lambda: loop.time() > begin + 0.2)
    assert link.closed_reason is None
    for _ in range(20):
        await anext(link)
    await flooding


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        (encode_frame(b"\xc1"), "no msgpack"),
        (framed(MasterToWorker, Envelope(Refused("x"), reply_to=9)), "request 9, never made"),
        (framed(WorkerToChild, Envelope(granted(1))), "unknown message 'LeaseGranted'"),
    ],
)
async def test_a_breach_of_the_protocol_closes_that_link_with_the_reason_in_the_log(
    raw: tuple[Link, socket.socket], caplog: pytest.LogCaptureFixture, sent: bytes, reason: str
) -> None:
    caplog.set_level(logging.INFO, "blfs_mr.net")
    link, theirs = raw
    good = TaskLaunched(attempt(), 7)
    await asyncio.get_running_loop().sock_sendall(theirs, framed(WorkerToMaster, Envelope(good)))
    assert (await anext(link)).message == good
    await asyncio.get_running_loop().sock_sendall(theirs, sent)
    assert [envelope async for envelope in link] == []
    assert link.closed_reason is not None
    assert reason in link.closed_reason
    assert f"link to worker-0 closed: {link.closed_reason}" in caplog.messages


async def test_a_connection_that_ends_inside_a_frame_is_told_from_a_clean_end(
    raw: tuple[Link, socket.socket],
) -> None:
    link, theirs = raw
    await asyncio.get_running_loop().sock_sendall(theirs, encode_frame(b"12345")[:6])
    theirs.close()
    assert [envelope async for envelope in link] == []
    assert link.closed_reason == "the connection ended inside a frame, after 2 of 5 bytes"


async def test_messages_that_came_before_the_end_are_delivered_before_it(pair: Pair) -> None:
    failure = TaskFailed(attempt(), Failure(FailureKind.USER_CODE, "boom"))
    pair.child.post(failure)
    await pair.child.close()
    await until(lambda: pair.worker.closed_reason is not None)
    assert [envelope.message async for envelope in pair.worker] == [failure]
    assert pair.worker.closed_reason == "the peer closed it"


async def test_closing_sends_everything_that_was_posted_first(pair: Pair) -> None:
    for number in range(1, 101):
        pair.child.post(lost(number, 20_000))
    closing = asyncio.create_task(pair.child.close())
    received = [envelope.message async for envelope in pair.worker]
    await closing
    assert received == [lost(number, 20_000) for number in range(1, 101)]


async def test_closing_does_not_wait_longer_than_its_deadline_for_a_peer_that_does_not_read(
    raw: tuple[Link, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "CLOSE_DEADLINE", 0.01)
    link, _ = raw
    for _ in range(100):
        link.post(Refused("x" * 20_000))
    async with asyncio.timeout(10):
        await link.close()
        await link.close()
    assert link.closed_reason == "closed"


async def test_requests_that_wait_when_the_link_ends_fail_with_its_reason(pair: Pair) -> None:
    request = asyncio.create_task(pair.child.request(LeaseSharedFile(attempt())))
    await anext(pair.worker)
    await pair.worker.close()
    with pytest.raises(LinkClosed, match="the link to worker ended: the peer closed it"):
        await request
    with pytest.raises(LinkClosed, match="is closed: the peer closed it"):
        await pair.child.request(LeaseSharedFile(attempt()))


async def test_frames_are_logged_at_debug_level_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "blfs_mr.net")
    ours, theirs = socket.socketpair()
    link = await Link.over_socket(ours, incoming=ChildToWorker, outgoing=WorkerToChild, peer="child 7")
    await link.send(Acknowledged())
    await link.close()
    theirs.close()
    assert "child 7 > Acknowledged - 29 bytes" in caplog.messages
