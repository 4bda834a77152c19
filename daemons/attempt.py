"""One attempt as its worker sees it: a forked child at the other end of a link, from launch to reaping."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import aiofiles
import aiofiles.os

from blfs_mr.errors import LinkClosed, ProtocolError
from blfs_mr.model import AttemptId, Failure, FailureKind, Lease, MapOutput, TaskKind
from blfs_mr.net.link import Link
from blfs_mr.wire.codec import Envelope
from blfs_mr.wire.messages.base import (
    Acknowledged,
    CommitOutput,
    MapOutputLost,
    Message,
    Refused,
    TaskFailed,
)
from blfs_mr.wire.messages.child import (
    ChildToWorker,
    LeaseGranted,
    LeaseSharedFile,
    MapOutputs,
    NextMapOutput,
    OutputCommitted,
    PublishMapOutput,
    RequestCommit,
    RunMapTask,
    RunReduceTask,
    WorkerToChild,
)
from blfs_mr.wire.messages.launcher import ChildExited
from blfs_mr.wire.messages.worker import MapOutputReady, OutputReady, TaskDone, TaskLaunched
from daemons.hung import REAPING_DEADLINE, Hung
from daemons.processes import LogFiles, socket_to_child

if TYPE_CHECKING:
    from daemons.catalogue import Catalogue
    from daemons.job import JobOnWorker
    from daemons.processes import Launcher
    from daemons.spawners import Opener

logger = logging.getLogger("blfs_mr.worker")

LOG_TAIL = 4096
"""Bytes of an attempt's stderr that its failure carries: the last screenful."""


class RunningAttempt:
    """Serves one child. ``run`` returns when the child is reaped; what it was for is reported by then.

    It returns as well when the child was killed and is not gone, its pid in ``hung``.
    """

    def __init__(self, attempt: AttemptId, job: JobOnWorker, first: RunMapTask | RunReduceTask) -> None:
        self.id = attempt
        self.published = False
        self.hung: int | None = None
        self._job, self.first = job, first
        self._link: Link | None = None
        self._opener: Opener | None = None
        self._waiting: Envelope | None = None
        self._given: dict[AttemptId, MapOutput] = {}
        self._leased: set[Lease] = set()
        self._committing = self._granted = False
        self._failure: Failure | None = None
        self._reported = self._aborted = False
        self._losses: set[asyncio.Task[None]] = set()
        self._pid: asyncio.Future[int] | None = None
        self._launcher: Launcher | None = None
        self._exited: asyncio.Future[ChildExited] | None = None

    async def run(self) -> None:
        """Launch, serve, reap, report."""
        logs = self._job.log_files(self.id)
        failure = await self._serve(logs)
        if self._losses:
            # What was lost explains why the attempt failed, and has to be known first.
            await asyncio.wait(self._losses)
        if failure is not None and not self._reported and not self._aborted:
            failure = await _with_log_tail(failure, logs.stderr)
            self._job.report(TaskFailed(self.id, failure))
        await _truncate(logs, self._job.log_limit)

    # ------------------------------------------------------------ what the worker does to it

    async def abort(self) -> None:
        """Kill it; nothing more is reported of it."""
        self._aborted = True
        await self._kill()

    async def kill_for(self, failure: Failure) -> None:
        """Kill it, and report ``failure`` once it is gone."""
        self._failure = failure
        await self._kill()

    def grant(self, granted: LeaseGranted | Refused) -> None:
        """The answer to its request for a shared file."""
        if isinstance(granted, LeaseGranted):
            self._leased.add(granted.lease)
        self._answer(granted)

    def commit(self) -> None:
        """The answer to its request to commit."""
        self._granted = True
        self._answer(CommitOutput(self.id))

    def offer(self, catalogue: Catalogue) -> None:
        """If it waits for map outputs that it was not given yet, give them."""
        if self._waiting is None or not isinstance(self._waiting.message, NextMapOutput):
            return
        new, volumes = catalogue.new_to(self.id.task.index, self._given)
        if new:
            self._given.update((output.attempt, output) for output in new)
            self._answer(MapOutputs(new, volumes))

    # ------------------------------------------------------------ its life

    async def _serve(self, logs: LogFiles) -> Failure | None:
        """The child's whole life; why it failed, None when it did what it was for."""
        launcher, failure = await self._job.launcher()
        if failure is not None:
            return failure
        if self._aborted:
            return None
        self._launcher = launcher
        try:
            self._opener = await self._job.new_opener(f"{self.id} of job {self._job.id}")
        except LinkClosed as error:
            return Failure(FailureKind.PROCESS, str(error))
        try:
            return await self._serve_child(launcher, logs)
        finally:
            if self._opener is not None:
                await self._opener.close()

    async def _serve_child(self, launcher: Launcher, logs: LogFiles) -> Failure | None:
        requests = self._opener.requests if self._opener is not None else None
        try:
            with socket_to_child() as (ours, theirs):
                self._pid, self._exited = await launcher.fork(str(self.id), theirs, logs, requests)
        except LinkClosed as error:
            return Failure(FailureKind.PROCESS, str(error))
        self._link = await Link.over_socket(
            ours, incoming=ChildToWorker, outgoing=WorkerToChild, peer=str(self.id)
        )
        try:
            if self._aborted:
                await self._kill()
            self._job.report(TaskLaunched(self.id, await self._pid))
            async with asyncio.timeout(self._job.spec.settings.task_timeout or None):
                self._tell_opener(self.first)
                await self._link.send(self.first)
                async for envelope in self._link:
                    self._handle(envelope)
                    if isinstance(envelope.message, TaskFailed):
                        self._expect_end()
        except TimeoutError:
            limit = self._job.spec.settings.task_timeout
            await self.kill_for(Failure(FailureKind.PROCESS, f"killed: it took longer than {limit:g} s"))
        except ProtocolError as error:
            await self.kill_for(Failure(FailureKind.PROCESS, f"killed: {error}"))
        except LinkClosed:
            pass  # How the child ended says more.
        finally:
            await self._link.close()
        return await self._outcome()

    async def _outcome(self) -> Failure | None:
        assert self._exited is not None
        assert self._pid is not None
        try:
            exited = await Hung.reaped(self._exited, await self._pid)
        except LinkClosed as error:
            return self._failure or Failure(FailureKind.PROCESS, str(error))
        if exited is None:
            await self._kill()
            self.hung = self._pid.result()
            return self._failure or Failure(FailureKind.PROCESS, "the task process hangs in the kernel")
        logger.info(
            "%s exited with %d: %.2f s of processor, %d MiB at most",
            self.id,
            exited.status,
            exited.cpu_seconds,
            exited.max_rss >> 20,
        )
        if self._reported:
            return None
        if self._failure is not None:
            return self._failure
        if exited.status < 0:
            how = f"the task process was killed by signal {-exited.status}"
        else:
            how = f"the task process ended with exit code {exited.status} and no report"
        return Failure(FailureKind.PROCESS, how)

    def _handle(self, envelope: Envelope) -> None:
        """One message of the child. A request may wait for its answer; the child makes one at a time.

        Raises ProtocolError for what it may not say: user code can say anything in its name, and what is
        passed on is believed, by the master and by openers.
        """
        message = envelope.message
        if not self._may_say(message) or (envelope.id is not None and self._waiting is not None):
            raise ProtocolError(f"the task process sent a {type(message).__name__} that it may not send")
        if envelope.id is not None:
            self._waiting = envelope
        match message:
            case LeaseSharedFile():
                self._job.pool_request(self.id)
            case PublishMapOutput():
                self.published = self._reported = True
                output = MapOutput(self.id, self._job.worker_name, message.files)
                self._job.publish(MapOutputReady(output, message.counters))
                self._answer(Acknowledged())
            case NextMapOutput():
                self._job.offer_to(self)
            case MapOutputLost():
                self._lost(message)
            case RequestCommit():
                self._committing = True
                self._job.report(OutputReady(self.id, message.consumed, message.counters))
            case OutputCommitted():
                self._reported = True
                assert isinstance(self.first, RunReduceTask), "it may commit"
                part = self._job.part(self.id, self.first.final_path, message.size)
                self._job.report(TaskDone(self.id, part))
            case TaskFailed():
                self._failure = message.failure

    def _may_say(self, message: Message) -> bool:
        match message:
            case LeaseSharedFile():
                return is_map(self.id) and not self._reported
            case PublishMapOutput():
                leased = all(file.lease in self._leased for file in message.files)
                return is_map(self.id) and not self._reported and leased
            case NextMapOutput() | MapOutputLost() | RequestCommit():
                return not is_map(self.id) and not self._committing
            case OutputCommitted():
                return self._granted and not self._reported
        return isinstance(message, TaskFailed)

    def _lost(self, message: MapOutputLost) -> None:
        """It could not read a map output. If that was drained since it was named, name the copy instead."""
        if message.output not in self._given:
            return  # It was told so already, by another thread of the child.
        now_at = self._job.locate(message.output, self.id.task.index)
        if now_at is not None and now_at != self._given.get(message.output):
            del self._given[message.output]
            return
        lost = MapOutputLost(self.id, message.output, message.reason, message.corrupt)
        if message.corrupt:
            self._job.report(lost)
            return
        # Whether this host can read other volumes tells the master whether to move its reduces.
        looking = asyncio.create_task(self._look_and_report(lost))
        self._losses.add(looking)
        looking.add_done_callback(self._losses.discard)

    async def _look_and_report(self, lost: MapOutputLost) -> None:
        await self._job.look_at_peers()
        if not self._aborted:
            self._job.report(lost)

    def _answer(self, message: WorkerToChild) -> None:
        if self._link is not None and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._tell_opener(message)
            self._link.post(message, reply_to=waiting)

    def _tell_opener(self, message: WorkerToChild) -> None:
        if self._opener is not None:
            self._opener.hear(message)

    async def _kill(self) -> None:
        if self._launcher is not None:
            await self._launcher.kill(str(self.id))
            self._expect_end()

    def _expect_end(self) -> None:
        """The child should end now. Its end of the link stays open while it hangs in the kernel."""
        if self._link is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(REAPING_DEADLINE, self._link.abort, "the process does not end")


def is_map(attempt: AttemptId) -> bool:
    """Whether the attempt is one of a map task."""
    return attempt.task.kind is TaskKind.MAP


async def _with_log_tail(failure: Failure, path: Path) -> Failure:
    """``failure`` with the end of what the attempt wrote to stderr."""
    try:
        async with aiofiles.open(path, "rb") as file:
            size = await file.seek(0, os.SEEK_END)
            await file.seek(max(0, size - LOG_TAIL))
            tail = (await file.read()).decode(errors="replace")
    except FileNotFoundError:
        return failure
    return Failure(failure.kind, failure.summary, failure.traceback, failure.record, tail)


async def _truncate(logs: LogFiles, limit: int) -> None:
    """Keep the last ``limit`` bytes of each log: a task that prints without end must not fill the disk."""
    for path in (logs.stdout, logs.stderr):
        try:
            size = (await aiofiles.os.stat(path)).st_size
            if size <= limit:
                continue
            async with aiofiles.open(path, "r+b") as file:
                await file.seek(size - limit)
                kept = await file.read()
                await file.seek(0)
                await file.write(b"[%d bytes before this were dropped]\n" % (size - limit) + kept)
                await file.truncate()
        except FileNotFoundError:
            continue
