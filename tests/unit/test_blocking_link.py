"""The blocking end of a link, over a real socket pair."""

from __future__ import annotations

import socket
import types
from collections.abc import Iterator

import pytest

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import LinkClosed, MalformedMessage, ProtocolError, RequestFailed
from blfs_mr.model import AttemptId, JobId, TaskId, TaskKind
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import FrameDecoder, encode_frame
from blfs_mr.wire.messages.base import Acknowledged, CommitOutput, MapOutputLost, Message, Refused
from blfs_mr.wire.messages.child import ChildToWorker, LeaseSharedFile, WorkerToChild
from blfs_mr.wire.messages.worker import WorkerToMaster

ATTEMPT = AttemptId(TaskId(JobId("0" * 16), TaskKind.REDUCE, 2), 1)


@pytest.fixture
def ends() -> Iterator[tuple[BlockingLink, socket.socket]]:
    """A child's link, and the bare socket of its worker."""
    ours, theirs = socket.socketpair()
    link = BlockingLink(ours, incoming=WorkerToChild, outgoing=ChildToWorker)
    # The kernel buffers what these tests send: a wait of this long is a failure.
    ours.settimeout(10)
    theirs.settimeout(10)
    yield link, theirs
    link.close()
    theirs.close()


def say(
    worker: socket.socket,
    message: Message,
    *,
    reply_to: int | None = None,
    vocabulary: types.UnionType = WorkerToChild,
) -> None:
    worker.sendall(encode_frame(codec_for(vocabulary).encode(Envelope(message, reply_to=reply_to))))


def heard(worker: socket.socket) -> list[Envelope]:
    return [codec_for(ChildToWorker).decode(body) for body in FrameDecoder().feed(worker.recv(65536))]


def test_a_request_waits_for_its_own_reply(ends: tuple[BlockingLink, socket.socket]) -> None:
    link, worker = ends
    say(worker, CommitOutput(ATTEMPT), reply_to=1)
    assert link.request(LeaseSharedFile(ATTEMPT), expect=CommitOutput) == CommitOutput(ATTEMPT)
    assert heard(worker) == [Envelope(LeaseSharedFile(ATTEMPT), id=1)]


def test_notifications_that_come_before_a_reply_are_kept_in_order(
    ends: tuple[BlockingLink, socket.socket],
) -> None:
    link, worker = ends
    say(worker, Refused("first"))
    say(worker, Refused("second"))
    say(worker, Acknowledged(), reply_to=1)
    say(worker, Refused("third"))
    assert link.request(LeaseSharedFile(ATTEMPT)) == Acknowledged()
    assert [link.receive() for _ in range(3)] == [Refused("first"), Refused("second"), Refused("third")]


def test_a_refused_request_raises_the_worker_s_reason(ends: tuple[BlockingLink, socket.socket]) -> None:
    link, worker = ends
    say(worker, Refused("the pool is empty"), reply_to=1)
    with pytest.raises(RequestFailed, match="the pool is empty"):
        link.request(LeaseSharedFile(ATTEMPT))


def test_replies_that_were_not_asked_for_are_refused(ends: tuple[BlockingLink, socket.socket]) -> None:
    link, worker = ends
    say(worker, Acknowledged(), reply_to=1)
    with pytest.raises(ProtocolError, match="Acknowledged replies to nothing"):
        link.receive()
    say(worker, Acknowledged(), reply_to=2)
    with pytest.raises(ProtocolError, match="does not wait for it"):
        link.request(LeaseSharedFile(ATTEMPT))


def test_a_reply_of_another_type_than_expected_is_refused(ends: tuple[BlockingLink, socket.socket]) -> None:
    link, worker = ends
    say(worker, Acknowledged(), reply_to=1)
    with pytest.raises(ProtocolError, match="LeaseSharedFile was answered with Acknowledged"):
        link.request(LeaseSharedFile(ATTEMPT), expect=CommitOutput)


def test_a_message_of_another_link_is_refused(ends: tuple[BlockingLink, socket.socket]) -> None:
    link, worker = ends
    say(worker, MapOutputLost(ATTEMPT, ATTEMPT, "", False), vocabulary=WorkerToMaster)
    with pytest.raises(MalformedMessage, match="unknown message 'MapOutputLost'"):
        link.receive()


def test_the_worker_s_end_is_seen_between_frames_and_inside_one(
    ends: tuple[BlockingLink, socket.socket],
) -> None:
    link, worker = ends
    say(worker, Refused("last words"))
    worker.sendall(b"\x00\x00\x00\x09half")
    worker.close()
    assert link.receive() == Refused("last words")
    with pytest.raises(LinkClosed, match="inside a frame, after 4 of 9 bytes"):
        link.receive()


def test_nothing_can_be_asked_of_a_worker_that_is_gone(ends: tuple[BlockingLink, socket.socket]) -> None:
    link, worker = ends
    worker.close()
    with pytest.raises(LinkClosed, match="the worker has closed the link"):
        link.receive()
    with pytest.raises(LinkClosed, match="the worker cannot be reached"):
        link.request(LeaseSharedFile(ATTEMPT))
