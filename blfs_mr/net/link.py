"""One open connection: requests and replies, notifications, heartbeats, and a bound on everything.

**Incoming.** One task reads. It resolves replies and swallows heartbeats by itself; the rest waits in the
inbox for ``async for``. When the inbox is full the task stops reading, the kernel's buffers fill, and the
peer's ``send`` waits: backpressure without a window of our own. There is one exception: while a request
waits for its reply, reading goes on, since that reply may stand behind whatever fills the inbox. So a
consumer may await ``request`` on the very link whose messages it handles and cannot deadlock; a hard cap
keeps a peer from misusing it.

**Outgoing.** Everything goes straight into the transport's buffer, in the order of the calls. ``send``,
``request`` and ``reply`` wait until that buffer is low; ``post`` does not wait, for policy code that is
synchronous, and a peer that lets more than a cap pile up is cut off.

**Liveness** is counted in ticks of a timer, not measured between two looks at a clock: when this process
was stopped or busy for long, that is one tick, and the peer's bytes are read before the next one.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import types
from collections import deque
from collections.abc import Callable
from typing import TypeVar, overload

from blfs_mr.errors import InternalError, LinkClosed, MalformedMessage, ProtocolError, RequestFailed
from blfs_mr.values import dataclass
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import FrameDecoder, encode_frame
from blfs_mr.wire.messages.base import Heartbeat, Message, Refused

logger = logging.getLogger("blfs_mr.net")

READ_CHUNK = 64 * 1024
"""Bytes taken from the transport at once: some hundred messages, so they hold the loop for milliseconds."""

INBOX_PAUSE = 256 * 1024
"""Bytes of frames waiting for the consumer at which reading pauses: several chunks, so that a consumer that
keeps up never waits for the network."""

INBOX_CAP = 64 * 1024 * 1024
"""Bytes of frames that may wait while a request is outstanding: the announcements of every output of a job
with 100,000 maps (about 400 bytes each) can come before the reply. Beyond it the peer floods us."""

OUTBOX_CAP = 64 * 1024 * 1024
"""Bytes that posted messages may occupy before the peer has taken them: the same burst of announcements, and
the job files of some jobs. Beyond it the peer is too slow, and memory matters more than its link."""

CLOSED, CLOSED_BY_PEER = "closed", "the peer closed it"
"""The reasons for which a link ends when all is well."""

CLOSE_DEADLINE = 5.0
"""Seconds that closing waits for the peer to take what was sent: a local network's peer that lives needs
milliseconds, and a stopping daemon has 10 s before it would be killed."""

Reply = TypeVar("Reply", bound=Message)


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Seconds: a heartbeat goes out when nothing else did for ``heartbeat_interval``; a peer that is silent
    for ``dead_after`` is cut off. The latter should be several times the former."""

    heartbeat_interval: float
    dead_after: float


class Link:
    """One connection to a peer. Make it inside a running event loop; it reads from then on.

    ``incoming`` and ``outgoing`` are the vocabularies of the two directions (unions of
    ``blfs_mr.wire.messages``). ``peer`` names the other end in logs and errors. ``last_heard`` is the loop's
    time when bytes last came. ``closed_reason`` is None while the link is open.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        incoming: types.UnionType,
        outgoing: types.UnionType,
        peer: str,
        keep_alive: KeepAlive | None = None,
        news: int = logging.INFO,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = codec_for(incoming), codec_for(outgoing)
        self._inbox: deque[tuple[Envelope, int]] = deque()
        self._inbox_bytes = 0
        self._inbox_changed = asyncio.Event()
        self._reading_wanted = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._last_request = 0
        self._last_sent = self._loop.time()
        self._ticks_silent = 0
        self._timer: asyncio.TimerHandle | None = None
        self.peer = peer
        self.last_heard = self._loop.time()
        self.closed_reason: str | None = None
        self._frames_logged = logger.isEnabledFor(logging.DEBUG)
        self._news = news
        logger.log(news, "link to %s opened", peer)
        self._read_task = self._loop.create_task(self._read(), name=f"read {peer}")
        if keep_alive is not None:
            self.keep_alive(keep_alive)

    @classmethod
    async def over_socket(
        cls, sock: socket.socket, *, incoming: types.UnionType, outgoing: types.UnionType, peer: str
    ) -> Link:
        """A link over one end of a socket pair (``AF_UNIX``, stream), which it owns from then on.

        There is no handshake, since only a process that was given the other end can be there, and no
        heartbeats, since the kernel closes that end when the process dies. Such links come and go with every
        task, so that only one that ends badly is news.
        """
        sock.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=READ_CHUNK)
        return cls(reader, writer, incoming=incoming, outgoing=outgoing, peer=peer, news=logging.DEBUG)

    # ------------------------------------------------------------ outgoing

    @overload
    async def request(self, message: Message, timeout: float | None = None) -> Message: ...
    @overload
    async def request(
        self, message: Message, timeout: float | None = None, *, expect: type[Reply]
    ) -> Reply: ...

    async def request(
        self, message: Message, timeout: float | None = None, *, expect: type[Reply] | None = None
    ) -> Message:
        """Send a request and wait, at most ``timeout`` seconds, for its reply.

        ``expect`` is the type the reply must have. Raises :class:`RequestFailed` when the peer refuses or
        does not answer in time, :class:`LinkClosed` when the link ends first, :class:`ProtocolError` (and
        closes the link) when the reply is of another type.
        """
        self._check_open()
        self._last_request += 1
        number = self._last_request
        waiting: asyncio.Future[Message] = self._loop.create_future()
        self._waiting[number] = waiting
        self._reading_wanted.set()
        try:
            async with asyncio.timeout(timeout):
                self._write(Envelope(message, id=number))
                await self._drain()
                reply = await waiting
        except TimeoutError:
            name = type(message).__name__
            raise RequestFailed(f"{self.peer} did not answer {name} within {timeout:g} s") from None
        finally:
            del self._waiting[number]
            # When sending already failed, nobody has looked at it, which asyncio would complain of.
            if not waiting.cancel() and not waiting.cancelled():
                waiting.exception()
        if isinstance(reply, Refused):
            raise RequestFailed(reply.reason)
        if expect is not None and not isinstance(reply, expect):
            wrong = f"{type(message).__name__} was answered with {type(reply).__name__}"
            self._end(wrong)
            raise ProtocolError(f"{self.peer}: {wrong}")
        return reply

    async def reply(self, request: Envelope, message: Message) -> None:
        """Answer a request, and wait until the peer keeps up. Raises :class:`LinkClosed`."""
        self._check_open()
        self._write(_answer(request, message))
        await self._drain()

    async def send(self, message: Message) -> None:
        """Send a notification, and wait until the peer keeps up. Raises :class:`LinkClosed`."""
        self._check_open()
        self._write(Envelope(message))
        await self._drain()

    def post(self, message: Message, *, reply_to: Envelope | None = None) -> None:
        """Send a notification, or the answer to the request ``reply_to``, without waiting.

        On a closed link this does nothing: policy learns of the end by the event that its shell makes of it,
        and what it still said to this peer before is moot. A peer that lets the outbox grow beyond its cap
        is cut off.
        """
        if self.closed_reason is not None:
            return
        self._write(Envelope(message) if reply_to is None else _answer(reply_to, message))
        unsent = self._writer.transport.get_write_buffer_size()
        if unsent > OUTBOX_CAP:
            self._end(f"too slow: {unsent} bytes wait to be sent, at most {OUTBOX_CAP} may")

    def _write(self, envelope: Envelope) -> None:
        frame = encode_frame(self._outgoing.encode(envelope))
        self._log_frame(">", envelope, len(frame))
        self._last_sent = self._loop.time()
        self._writer.write(frame)

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError as error:
            self._end(f"sending failed: {error}")
        self._check_open()

    def _check_open(self) -> None:
        if self.closed_reason is not None:
            raise LinkClosed(f"the link to {self.peer} is closed: {self.closed_reason}")

    # ------------------------------------------------------------ incoming

    def __aiter__(self) -> Link:
        return self

    async def __anext__(self) -> Envelope:
        """The next message that is neither reply nor heartbeat. Ends when the link has ended and all that
        came before its end was taken. For one consumer."""
        while not self._inbox:
            if self.closed_reason is not None:
                raise StopAsyncIteration
            self._inbox_changed.clear()
            await self._inbox_changed.wait()
        envelope, size = self._inbox.popleft()
        self._inbox_bytes -= size
        if self._inbox_bytes <= INBOX_PAUSE:
            self._reading_wanted.set()
        return envelope

    async def _read(self) -> None:
        decoder = FrameDecoder()
        reason = "a bug in reading it"
        try:
            while chunk := await self._reader.read(READ_CHUNK):
                self._heard()
                for body in decoder.feed(chunk):
                    self._receive(self._incoming.decode(body), len(body))
                while self._inbox_bytes > INBOX_PAUSE and not self._waiting:
                    self._reading_wanted.clear()
                    await self._reading_wanted.wait()
                    self._heard()
            decoder.eof()
            reason = CLOSED_BY_PEER
        except asyncio.CancelledError:
            reason = CLOSED
            raise
        except (ProtocolError, LinkClosed) as error:
            reason = str(error)
        except OSError as error:
            reason = f"receiving failed: {error}"
        finally:
            self._end(reason)

    def _receive(self, envelope: Envelope, size: int) -> None:
        self._log_frame("<", envelope, size)
        if envelope.reply_to is not None:
            self._receive_reply(envelope.reply_to, envelope.message)
        elif not isinstance(envelope.message, Heartbeat):
            self._inbox.append((envelope, size))
            self._inbox_bytes += size
            self._inbox_changed.set()
            if self._inbox_bytes > INBOX_CAP:
                raise ProtocolError(f"{self._inbox_bytes} bytes came while a request waited for its reply")

    def _receive_reply(self, number: int, message: Message) -> None:
        if number > self._last_request:
            raise MalformedMessage(f"{type(message).__name__} replies to request {number}, never made")
        waiting = self._waiting.get(number)
        # Late replies are dropped: the request was given up.
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _heard(self) -> None:
        self.last_heard = self._loop.time()
        self._ticks_silent = 0

    # ------------------------------------------------------------ liveness and the end

    def keep_alive(self, keep_alive: KeepAlive) -> None:
        """Send heartbeats and expect signs of life from now on, at these intervals."""
        if self._timer is not None:
            self._timer.cancel()
        self._heard()
        if self.closed_reason is None:
            period = keep_alive.heartbeat_interval / 2
            self._timer = self._loop.call_later(period, self._tick, period, keep_alive.dead_after)

    def _tick(self, period: float, dead_after: float) -> None:
        # While the inbox is full, it is we who do not listen.
        if self._inbox_bytes <= INBOX_PAUSE:
            self._ticks_silent += 1
        if self._ticks_silent * period > dead_after:
            self._end(f"nothing was heard from it for {dead_after:g} s")
            return
        # Bytes that still wait to be sent are a sign of life already.
        backlog = self._writer.transport.get_write_buffer_size()
        if not backlog and self._loop.time() - self._last_sent >= period:
            self._write(Envelope(Heartbeat()))
        self._timer = self._loop.call_later(period, self._tick, period, dead_after)

    def abort(self, reason: str) -> None:
        """Close at once, for ``reason``; what is unsent is dropped."""
        self._end(reason)

    async def close(self) -> None:
        """Wait until the peer has taken what was sent, at most :data:`CLOSE_DEADLINE`, and close the link.

        Messages that were not consumed yet are dropped. Closing a closed link does nothing.
        """
        if self.closed_reason is None:
            self._end(CLOSED, lambda: self._writer.close())
        self._inbox.clear()
        try:
            async with asyncio.timeout(CLOSE_DEADLINE):
                # Shielded: the stream has one future for its end, which a cut wait would cancel for good.
                await asyncio.shield(self._writer.wait_closed())
        except (TimeoutError, OSError):
            self._writer.transport.abort()

    def _end(self, reason: str, close_transport: Callable[[], None] | None = None) -> None:
        """Close for the reason that came first. What is unsent is dropped, unless ``close_transport``
        says how to send it."""
        if self.closed_reason is not None:
            return
        self.closed_reason = reason
        level = self._news if reason in (CLOSED, CLOSED_BY_PEER) else logging.INFO
        logger.log(level, "link to %s closed: %s", self.peer, reason)
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LinkClosed(f"the link to {self.peer} ended: {reason}"))
        self._inbox_changed.set()
        self._read_task.cancel()
        (close_transport or self._writer.transport.abort)()

    def _log_frame(self, direction: str, envelope: Envelope, size: int) -> None:
        if self._frames_logged:
            name = type(envelope.message).__name__
            number = envelope.id or envelope.reply_to or "-"
            logger.debug("%s %s %s %s %d bytes", self.peer, direction, name, number, size)


def _answer(request: Envelope, message: Message) -> Envelope:
    if request.id is None:
        raise InternalError(f"{type(request.message).__name__} was no request and cannot be answered")
    return Envelope(message, reply_to=request.id)
