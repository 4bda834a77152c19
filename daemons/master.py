"""The master: owns jobs, has no data path, and never runs user code.

    python -m daemons.master --config config.toml

One event loop. Messages become events of the scheduler, its commands become messages, in their order; there
is nothing to lock, because the scheduler is synchronous.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from blfs_mr import linux
from blfs_mr.atomic_files import replace_file
from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.core.scheduler import Scheduler
from blfs_mr.errors import BlfsMrError, InvalidTransition
from blfs_mr.model import JobId, WorkerName
from blfs_mr.net.link import KeepAlive, Link
from blfs_mr.net.listener import Peer
from blfs_mr.net.listener import serve as listen
from blfs_mr.wire.codec import Envelope
from blfs_mr.wire.messages.base import (
    Acknowledged,
    CommitOutput,
    FilesMeasured,
    MapOutputLost,
    MeasureFiles,
    Refused,
    TaskFailed,
)
from blfs_mr.wire.messages.client import (
    AttemptFailed,
    CancelJob,
    ClusterDescription,
    DescribeCluster,
    DescribeInput,
    JobAccepted,
    JobEnded,
    JobProgressed,
    MasterToClient,
    SubmitJob,
)
from blfs_mr.wire.messages.worker import (
    AbortTask,
    AnnounceLeaving,
    CleanUpJob,
    DrainFailed,
    DrainMapOutput,
    LaunchMapTask,
    LaunchReduceTask,
    LookAtPeers,
    MapOutputDrained,
    MapOutputPublished,
    MapOutputReady,
    MasterToWorker,
    OutputReady,
    PeerVolumesSeen,
    PoolShort,
    PrepareJob,
    RegisterWorker,
    ReleaseMapOutput,
    TaskDone,
    TaskLaunched,
    TaskRequeued,
    WorkerCondition,
    WorkerRegistered,
)
from blfs_mr.wire.roles import Role
from daemons.admission import load_admission, reload_on_hangup
from daemons.answers import Registered, describe_cluster, describe_input, why_refused, why_taken
from daemons.lifecycle import notify, notify_stopping, run, set_up_logging, work_until

if TYPE_CHECKING:
    from blfs_mr.config import Config

logger = logging.getLogger("blfs_mr.master")

TICK = 0.25
"""Seconds between looks at deadlines and reports of progress: often enough for a bar that moves."""

MEASURE_DEADLINE = 20.0
"""Seconds that a worker gets to look at files: a submitter takes a master for dead that is silent for 30."""

_STOPPING = "the master is being stopped: submit again when it is back"


class Master:
    """One master daemon."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._scheduler = Scheduler(config.master.no_worker_deadline)
        self._host = linux.host_identity()
        self._workers: dict[WorkerName, Registered] = {}
        self._registering: dict[WorkerName, Envelope] = {}
        self._submitters: dict[JobId, Link] = {}
        self._progress: dict[JobId, c.ReportProgress] = {}
        self._leaving = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def on_link(self, link: Link, peer: Peer) -> None:
        """Serve one proven peer until its link ends."""
        if peer.role is Role.WORKER:
            await self._serve_worker(link, WorkerName(peer.name))
        else:
            await self._serve_client(link)

    async def watch_time(self) -> None:
        """Tell the scheduler that time passes, and submitters how far their jobs are."""
        while True:
            await asyncio.sleep(TICK)
            self._apply(e.TimePassed())
            self._report_progress()

    async def leave(self) -> None:
        """Take no more jobs, and give those that run the grace to end, as long as there are workers."""
        grace = self._config.master.grace
        self._leaving = True
        notify_stopping(grace)
        logger.info("stopping: jobs that run get %g s to end", grace)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()

    def cancel_jobs(self, reason: str) -> None:
        """End every job; workers are told to clean up."""
        for job in list(self._scheduler.jobs):
            self._apply(e.JobCancelled(job, reason))

    # ------------------------------------------------------------ workers

    async def _serve_worker(self, link: Link, name: WorkerName) -> None:
        first = await anext(link, None)
        if first is None or not isinstance(first.message, RegisterWorker):
            return
        known = self._workers.get(name)
        if known is not None and known.link is not None:
            link.post(Refused(why_taken(known.registration, first.message)), reply_to=first)
            return
        told = first.message
        self._workers[name] = Registered(told, link, WorkerCondition(told.shared_files, ()))
        self._registering[name] = first
        volume = told.access.volume
        self._apply(e.WorkerJoined(name, told.slots, told.held, told.host, volume, told.peers))
        logger.info("worker %s joined with %d slots", name, told.slots)
        try:
            async for envelope in link:
                self._hear_worker(link, name, envelope)
        finally:
            self._workers[name].link = None
            reason = link.closed_reason or "the master stops"
            logger.info("worker %s left: %s", name, reason)
            self._apply(e.WorkerLost(name, reason))

    def _hear_worker(self, link: Link, name: WorkerName, envelope: Envelope) -> None:
        message = envelope.message
        if isinstance(message, WorkerCondition):
            self._workers[name].condition = message
            return
        if isinstance(message, AnnounceLeaving):
            logger.info("worker %s is being stopped", name)
            self._apply(e.LeavingAnnounced(name))
            link.post(Acknowledged(), reply_to=envelope)
            return
        event = _EVENTS[type(message)](name, message)
        try:
            self._apply(event, name)
        except InvalidTransition:
            logger.exception("worker %s reported what cannot be; closing its link", name)
            link.abort("it reported what cannot be")

    # ------------------------------------------------------------ clients

    async def _serve_client(self, link: Link) -> None:
        jobs: list[JobId] = []
        link.keep_alive(KeepAlive(self._config.master.heartbeat_interval, self._config.master.worker_timeout))
        try:
            async for envelope in link:
                match envelope.message:
                    case DescribeCluster():
                        await link.reply(envelope, self._describe())
                    case DescribeInput() as asked:
                        folder = self._config.manifests_folder
                        await link.reply(
                            envelope, await asyncio.to_thread(describe_input, folder, asked.name)
                        )
                    case MeasureFiles() as asked:
                        await link.reply(envelope, await self._measure(asked))
                    case SubmitJob() as submitted:
                        refusal = _STOPPING if self._leaving else why_refused(submitted)
                        if refusal:
                            await link.reply(envelope, Refused(refusal))
                            continue
                        job = JobId(secrets.token_hex(8))
                        jobs.append(job)
                        self._submitters[job] = link
                        link.post(JobAccepted(job), reply_to=envelope)
                        logger.info("job %s (%s) submitted", job, submitted.spec.name)
                        self._apply(e.JobSubmitted(job, submitted.spec, submitted.splits))
                    case CancelJob() as cancelled if cancelled.job in jobs:
                        self._apply(e.JobCancelled(cancelled.job, "by its submitter"))
        finally:
            for job in jobs:
                if job in self._submitters:
                    self._apply(e.JobCancelled(job, "its submitter is gone"))

    def _describe(self) -> ClusterDescription:
        now = asyncio.get_running_loop().time()
        return describe_cluster(self._config, self._host, self._scheduler, self._workers, now)

    async def _measure(self, asked: MeasureFiles) -> FilesMeasured | Refused:
        known = self._workers.get(asked.worker)
        if known is None or known.link is None:
            return Refused(f"the worker {asked.worker} is not there, and has files of this input alone")
        try:
            return await known.link.request(asked, MEASURE_DEADLINE, expect=FilesMeasured)
        except BlfsMrError as error:
            return Refused(f"{asked.worker}: {error}")

    def _report_progress(self) -> None:
        for job, progress in self._progress.items():
            self._tell_submitter(
                job,
                JobProgressed(
                    job,
                    progress.maps_done,
                    progress.maps_total,
                    progress.reduces_done,
                    progress.reduces_total,
                    progress.running,
                ),
            )
        self._progress.clear()

    # ------------------------------------------------------------ the scheduler's commands

    def _apply(self, event: e.Event, reporter: WorkerName | None = None) -> None:
        for command in self._scheduler.handle(event, asyncio.get_running_loop().time(), reporter):
            self._carry_out(command)
        if self._scheduler.jobs and self._scheduler.workers:
            self._idle.clear()
        else:
            self._idle.set()

    def _carry_out(self, command: c.Command) -> None:
        match command:
            case c.PrepareJob():
                self._tell(command.worker, PrepareJob(command.job, command.spec, command.map_tasks))
            case c.LaunchMap():
                self._tell(command.worker, LaunchMapTask(command.attempt, command.split))
            case c.LaunchReduce():
                self._tell(command.worker, LaunchReduceTask(command.attempt))
            case c.PublishMapOutput():
                owner = self._workers[command.output.worker]
                told = MapOutputPublished(command.output, owner.registration.host, owner.registration.access)
                self._tell(command.worker, told)
            case c.GrantCommit():
                self._tell(command.worker, CommitOutput(command.attempt))
            case c.AbortAttempt():
                self._tell(command.worker, AbortTask(command.attempt))
            case c.ReleaseMapOutput():
                self._tell(command.worker, ReleaseMapOutput(command.output))
            case c.DrainMapOutput():
                self._tell(command.worker, DrainMapOutput(command.output, command.partitions))
            case c.LookAtPeers():
                self._tell(command.worker, LookAtPeers())
            case c.CleanUpJob():
                self._tell(command.worker, CleanUpJob(command.job, command.keep_output))
            case c.AcceptWorker():
                self._accept(command)
            case c.ReportProgress():
                self._progress[command.job] = command
            case c.ReportAttemptFailed():
                logger.info("%s failed on %s: %s", command.attempt, command.worker, command.failure.summary)
                self._tell_submitter(
                    command.attempt.task.job,
                    AttemptFailed(command.attempt, command.worker, command.failure, command.will_retry),
                )
            case c.ReportJobEnded():
                self._end_job(command)

    def _accept(self, command: c.AcceptWorker) -> None:
        link = self._workers[command.worker].link
        assert link is not None, "it is accepted while its registration is handled"
        interval = self._config.master.heartbeat_interval
        link.post(WorkerRegistered(command.live, interval), reply_to=self._registering.pop(command.worker))
        link.keep_alive(KeepAlive(interval, self._config.master.worker_timeout))

    def _end_job(self, command: c.ReportJobEnded) -> None:
        outcome = "succeeded" if command.failure is None else f"failed: {command.failure.summary}"
        logger.info("job %s %s after %.2f s", command.job, outcome, command.seconds)
        self._report_progress()
        self._tell_submitter(
            command.job,
            JobEnded(
                command.job,
                command.failure,
                command.parts,
                command.counters,
                command.seconds,
                command.attempts_failed,
            ),
        )
        del self._submitters[command.job]

    def _tell(self, worker: WorkerName, message: MasterToWorker) -> None:
        # A worker whose link has just ended gets nothing more; WorkerLost puts that right.
        link = self._workers[worker].link
        if link is not None:
            link.post(message)

    def _tell_submitter(self, job: JobId, message: MasterToClient) -> None:
        if job in self._submitters:
            self._submitters[job].post(message)


_EVENTS: dict[type, Callable[..., e.Event]] = {
    TaskLaunched: lambda worker, message: e.AttemptLaunched(message.attempt),
    MapOutputReady: lambda worker, message: e.MapOutputWritten(message.output, message.counters),
    OutputReady: lambda worker, message: e.OutputWritten(
        message.attempt, tuple((c.attempt, c.records) for c in message.consumed), message.counters
    ),
    TaskDone: lambda worker, message: e.OutputCommitted(message.attempt, message.part),
    TaskFailed: lambda worker, message: e.AttemptFailed(message.attempt, message.failure),
    TaskRequeued: lambda worker, message: e.AttemptRequeued(message.attempt),
    MapOutputLost: lambda worker, message: e.MapOutputUnreadable(
        message.reader, message.output, message.reason, message.corrupt
    ),
    PeerVolumesSeen: lambda worker, message: e.PeersSeen(worker, message.peers),
    PoolShort: lambda worker, message: e.PoolRanShort(worker),
    MapOutputDrained: lambda worker, message: e.MapOutputDrained(worker, message.output),
    DrainFailed: lambda worker, message: e.DrainFailed(worker, message.output, message.failure),
}


def next_epoch(home: Path) -> int:
    """The epoch of this start of the master: one more than the last one's, recorded before it is used."""
    path = home / "master.epoch"
    home.mkdir(parents=True, exist_ok=True)
    epoch = int(path.read_text()) + 1 if path.exists() else 1
    replace_file(path, f"{epoch}\n".encode(), 0o644)
    return epoch


async def serve(config: Config, listening: socket.socket | None, stopping: asyncio.Event) -> None:
    """Listen and schedule until ``stopping`` is set, on the socket ``listening`` if there is one already."""
    master, admission = Master(config), load_admission(config)
    listener = await listen(
        config.master.host,
        config.master.port,
        cluster=config.cluster.id,
        secrets=admission.secrets,
        tls=admission.tls,
        epoch=next_epoch(config.home),
        on_link=master.on_link,
        listening=listening,
    )
    reload_on_hangup(config, listener)
    notify("READY=1")
    try:
        await work_until(stopping, master.watch_time(), master.leave)
    finally:
        master.cancel_jobs("the master stops")
        await listener.close()


def main() -> None:
    """Run the master until it is told to stop."""
    # An embedded cluster comes in by ``serve``, and pays neither for click nor for the models of a file.
    import click

    from blfs_mr.config import load_config

    @click.command()
    @click.option("--config", "path", type=click.Path(path_type=Path), help="The configuration file.")
    def command(path: Path | None) -> None:
        """Run the master until it is told to stop."""

        async def until_stopped(stopping: asyncio.Event) -> None:
            config = load_config(path, os.environ)
            set_up_logging(config.logging.level)
            await serve(config, None, stopping)

        sys.exit(run(until_stopped))

    command()


if __name__ == "__main__":
    main()
