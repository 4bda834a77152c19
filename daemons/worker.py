"""The worker: owns its node's volume and task processes, and does what the master says.

    python -m daemons.worker --config config.toml --name worker-0

One event loop. The volume is opened, and locked, once; the link to the master comes and goes. When it goes,
the master has given this worker's attempts to others, so they are killed; what was published stays leased
until the master, after the next registration, says which of it is still needed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import stat
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from blfs_mr import linux
from blfs_mr.core.lease_pool import Decision, Deny, Grant, LeasePool, Requeue, Short
from blfs_mr.errors import (
    BlfsMrError,
    ConfigError,
    HandshakeRefused,
    LinkClosed,
    RequestFailed,
)
from blfs_mr.model import (
    AttemptId,
    IncarnationId,
    InputSplit,
    JobId,
    PeerVolume,
    VolumeAccess,
    WorkerName,
)
from blfs_mr.net.dial import connect
from blfs_mr.net.link import KeepAlive, Link
from blfs_mr.secret import load_or_create_secret
from blfs_mr.tls import client_context
from blfs_mr.units import format_size
from blfs_mr.volume.layout import OwnedVolume
from blfs_mr.wire.codec import Envelope
from blfs_mr.wire.messages.base import Acknowledged, CommitOutput, FilesMeasured, MeasureFiles, Refused
from blfs_mr.wire.messages.child import LeaseGranted, RunMapTask
from blfs_mr.wire.messages.worker import (
    AbortTask,
    AnnounceLeaving,
    CleanUpJob,
    DrainMapOutput,
    LaunchMapTask,
    LaunchReduceTask,
    LookAtPeers,
    MapOutputPublished,
    MapOutputReady,
    PeerVolumesSeen,
    PoolShort,
    PrepareJob,
    RegisterWorker,
    ReleaseMapOutput,
    TaskRequeued,
    WorkerCondition,
    WorkerRegistered,
)
from blfs_mr.wire.roles import Role
from daemons.attempt import RunningAttempt
from daemons.hung import Hung
from daemons.job import JobOnWorker, Report
from daemons.job_folders import JobFolders, clear
from daemons.lifecycle import notify, notify_stopping, run, set_up_logging, work_until
from daemons.own_volume import own_volume
from daemons.peers import Peers
from daemons.processes import Launcher
from daemons.spawners import Spawners
from daemons.task_user import find_task_user

if TYPE_CHECKING:
    from blfs_mr.config import Config

logger = logging.getLogger("blfs_mr.worker")

CONDITION_INTERVAL = 0.5
"""Seconds between two looks at what the master is told of this worker's condition."""

RECONNECT_FIRST, RECONNECT_MOST = 0.1, 5.0
"""Seconds between attempts to reach the master: soon after a restart, never a storm."""

ANNOUNCING_DEADLINE = 5.0
"""Seconds that the master gets to answer a worker that leaves. One that does not will see its link end."""


class Worker:
    """One worker daemon."""

    def __init__(
        self,
        config: Config,
        name: WorkerName,
        volume: OwnedVolume,
        spawners: Spawners,
    ) -> None:
        self.name = name
        self.hung = spawners.hung
        self.read_deadline = config.worker.read_deadline
        self._spawners = spawners
        self._peers = Peers(_peers(config, name), self.read_deadline, self.hung, spawners.own)
        self._told_condition: WorkerCondition | None = None
        self._told_seen: PeerVolumesSeen | None = None
        self._config, self._volume = config, volume
        self._folders = config.worker_folders(name)
        self._incarnation = IncarnationId(secrets.token_hex(8))
        self._host = linux.host_identity()
        self._link: Link | None = None
        self._registered = False
        self._epoch = 0
        self._jobs: dict[JobId, JobOnWorker] = {}
        self._cleaning: set[asyncio.Task[None]] = set()
        self._asides: set[asyncio.Task[None]] = set()
        self._unneeded: set[AttemptId] = set()
        self._published: set[AttemptId] = set()
        self._scratch_direct = linux.supports_direct_io(str(self._folders.scratch))
        files = volume.shared_files()
        found = [lease for lease in map(volume.last_lease, files) if lease is not None]
        self._pool = LeasePool(files, {lease.shared_file: lease.generation for lease in found})
        # Readers may need what an earlier incarnation published; the master will say what is live of it.
        self._pool.restore(found)
        self._published.update(lease.attempt for lease in found)

    async def serve(self, stopping: asyncio.Event, leave_with_master: bool) -> None:
        """Keep registered with the master until ``stopping`` is set, or refused for good.

        With ``leave_with_master``, end when the first link to the master does.
        """
        await self._peers.look()
        watching = [asyncio.create_task(watch) for watch in (self._watch_peers(), self._watch_condition())]
        try:
            await work_until(stopping, self._keep_registered(leave_with_master), self._leave)
        finally:
            for watch in watching:
                watch.cancel()
            await self._drop_everything()
            await self._spawners.close()
            self.hung.close()

    async def _keep_registered(self, leave_with_master: bool) -> None:
        delay = RECONNECT_FIRST
        while True:
            try:
                await self._session()
                delay = RECONNECT_FIRST
            except HandshakeRefused as error:
                raise ConfigError(f"the master refuses this worker: {error}") from error
            except BlfsMrError as error:
                if leave_with_master:
                    return
                logger.warning("%s; trying again in %.1f s", error, delay)
            await self._drop_everything()
            await asyncio.sleep(delay)
            delay = min(2 * delay, RECONNECT_MOST)

    async def _leave(self) -> None:
        """Take no more attempts, give those that run the grace to end, and the others back to the master."""
        grace = self._config.worker.grace
        notify_stopping(grace)
        if self._link is None or not self._registered:
            return
        try:
            await self._link.request(AnnounceLeaving(), ANNOUNCING_DEADLINE, expect=Acknowledged)
            logger.info("stopping: attempts that run get %g s to end", grace)
            async with asyncio.timeout(grace):
                while running := [job for job in self._jobs.values() if job.busy]:
                    await asyncio.gather(*(job.settled() for job in running))
        except (LinkClosed, RequestFailed):
            return  # The master knows already that it has to do without this worker, or will see its end.
        except TimeoutError:
            pass
        for attempt in [attempt for job in self._jobs.values() for attempt in job.attempts.values()]:
            logger.info("stopping: %s is given back", attempt.id)
            await self._requeue(attempt)

    # ------------------------------------------------------------ what it watches

    async def _watch_peers(self) -> None:
        """Look at the peers' volumes from time to time."""
        while True:
            await asyncio.sleep(self._config.worker.peer_check_interval)
            await self.look_at_peers()

    async def _watch_condition(self) -> None:
        while True:
            await asyncio.sleep(CONDITION_INTERVAL)
            self._tell_changes()

    async def look_at_peers(self) -> None:
        """Look at the peers' volumes now, and tell the master what has changed."""
        await self._peers.look()
        self._tell_changes()

    def _tell_changes(self) -> None:
        """Tell the master how this worker does, and what it sees, where that is not what it last told."""
        condition = WorkerCondition(self._pool.free, self.hung.names)
        seen = PeerVolumesSeen(self._peers.seen)
        if not self._registered:
            return
        if seen != self._told_seen:
            self._told_seen = seen
            self.report(seen)
        if condition != self._told_condition:
            self._told_condition = condition
            self.report(condition)

    # ------------------------------------------------------------ the link to the master

    async def _session(self) -> None:
        """One connection to the master, from handshake to its end."""
        master, tls_folder = self._config.master, self._config.tls_folder
        self._link, self._epoch = await connect(
            master.host,
            master.port,
            cluster=self._config.cluster.id,
            secret=load_or_create_secret(self._config.secret_path),
            role=Role.WORKER,
            name=self.name,
            incarnation=self._incarnation,
            lowest_epoch=self._epoch,
            # Read anew, as the secret is: what was rotated counts from the next connection on.
            tls=None if tls_folder is None else client_context(tls_folder),
        )
        seen = PeerVolumesSeen(self._peers.seen)
        try:
            registered = await self._link.request(
                RegisterWorker(
                    self.name,
                    self._incarnation,
                    self._host,
                    self._config.worker.slot_count,
                    self._volume.access,
                    len(self._volume.shared_files()),
                    max(file.size for file in self._volume.shared_files()),
                    tuple(sorted(self._published)),
                    seen.peers,
                    str(self._folders.input),
                ),
                expect=WorkerRegistered,
            )
            self._registered, self._told_condition, self._told_seen = True, None, seen
            self._link.keep_alive(KeepAlive(registered.heartbeat_interval, master.worker_timeout))
            for attempt in self._published - set(registered.live):
                self._release(attempt)
            logger.info(
                "registered with the master as %s, %d slots", self.name, self._config.worker.slot_count
            )
            notify("READY=1")
            async for envelope in self._link:
                self._handle(envelope)
            raise LinkClosed(f"the link to the master ended: {self._link.closed_reason}")
        finally:
            self._registered = False
            await self._link.close()
            self._link = None

    def _handle(self, envelope: Envelope) -> None:
        match message := envelope.message:
            case PrepareJob():
                self._prepare(message)
            case LaunchMapTask():
                split, deadline = self._found_here(message.split), self._config.worker.write_deadline
                self._jobs[message.attempt.task.job].run(
                    message.attempt, RunMapTask(message.attempt, split, self._volume.access, deadline)
                )
            case LaunchReduceTask():
                job = self._jobs[message.attempt.task.job]
                job.run(message.attempt, job.reduce_task(message.attempt))
            case MapOutputPublished():
                self._jobs[message.output.attempt.task.job].learn(message.output, self._reach(message))
            case CommitOutput():
                if attempt := self._attempt(message.attempt):
                    attempt.commit()
            case AbortTask():
                if attempt := self._attempt(message.attempt):
                    self._in_background(attempt.abort())
            case ReleaseMapOutput():
                self._release(message.attempt)
            case DrainMapOutput():
                self._jobs[message.output.task.job].drain(message.output, message.partitions)
            case LookAtPeers():
                self._aside(self.look_at_peers())
            case CleanUpJob():
                self._in_background(self._clean_up(message.job, message.keep_output))
            case MeasureFiles():
                self._answer_later(envelope, message.paths)

    def _found_here(self, split: InputSplit) -> InputSplit:
        """``split`` with an absolute path."""
        return replace(split, path=str(self._folders.input / split.path))

    def _answer_later(self, request: Envelope, paths: Sequence[str]) -> None:
        """Measure in a thread: the files are on whatever disk the user names, which may be slow to answer."""
        link = self._link
        assert link is not None, "the request came by it"

        async def answer() -> None:
            link.post(await asyncio.to_thread(measured, paths), reply_to=request)

        self._aside(answer())

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        """Do what nothing waits for."""
        task = asyncio.create_task(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    def _reach(self, message: MapOutputPublished) -> VolumeAccess | None:
        """How this host reaches the volume of a map output, None if it cannot.

        Where it was given a device for it, by that alone: what is wrong with it must not go unseen.
        """
        owner = message.output.worker
        if self._peers.configured(owner):
            access = self._peers.readable.get(owner)
            return access if access is not None and access.volume == message.access.volume else None
        return message.access if message.host == self._host else None

    def report(self, message: Report) -> None:
        """Tell the master; without a link there is nobody who would believe it."""
        if self._link is not None:
            self._link.post(message)

    # ------------------------------------------------------------ jobs

    def _prepare(self, message: PrepareJob) -> None:
        settings = message.spec.settings
        output = Path(settings.output) if settings.output_is_local else self._folders.output / settings.output
        self._jobs[message.job] = JobOnWorker(
            message,
            self,
            self._new_launcher,
            self._spawners,
            JobFolders(self._folders.scratch, self._folders.output, message.job, self._spawners.user),
            output,
            self._config.worker.log_limit,
            self._scratch_direct,
        )

    def _attempt(self, attempt: AttemptId) -> RunningAttempt | None:
        job = self._jobs.get(attempt.task.job)
        return job.attempts.get(attempt) if job else None

    async def _new_launcher(self, job: JobId) -> Launcher:
        return await (await self._spawners.tasks()).launcher(job, self._volume.lock_descriptor)

    async def _clean_up(self, job_id: JobId, keep_output: bool) -> None:
        """A job is over. Of one from before the last registration only published map outputs are left."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            await job.stop()
        for attempt in [a for a in self._published if a.task.job == job_id]:
            self._release(attempt)
        if job is not None:
            await job.delete_files(keep_output)

    async def _drop_everything(self) -> None:
        """Stop all jobs. Published map outputs stay; the master will say which of them it still needs."""
        jobs, self._jobs = list(self._jobs.values()), {}
        for job in jobs:
            # Goes on, and is waited for the next time, should this worker be stopped meanwhile.
            self._in_background(self._drop(job))
        while self._cleaning:
            await asyncio.wait(self._cleaning)

    async def _drop(self, job: JobOnWorker) -> None:
        await job.stop()
        await job.delete_files(keep_output=True)

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    # ------------------------------------------------------------ the volume's leases

    def request_lease(self, attempt: AttemptId) -> None:
        """A mapper needs one more shared file."""
        self._carry_out(self._pool.request(attempt))

    def publish(self, message: MapOutputReady) -> None:
        """A mapper's output is flushed: keep its leases, tell the master."""
        self._published.add(message.output.attempt)
        # First, so that a pool that is short finds this output among those that can be drained.
        self.report(message)
        self._carry_out(self._pool.publish(message.output.attempt))

    def attempt_over(self, attempt: RunningAttempt) -> None:
        """The attempt's process is reaped: nothing can write to its files any more."""
        if not attempt.published or attempt.id in self._unneeded:
            self._unneeded.discard(attempt.id)
            self._published.discard(attempt.id)
            self._carry_out(self._pool.release(attempt.id))

    def _release(self, attempt: AttemptId) -> None:
        """No reader needs this map output; its files are free once its writer is reaped."""
        if self._attempt(attempt) is not None:
            self._unneeded.add(attempt)
            return
        self._published.discard(attempt)
        self._carry_out(self._pool.release(attempt))

    def _carry_out(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Grant():
                    if attempt := self._attempt(decision.lease.attempt):
                        attempt.grant(LeaseGranted(decision.lease))
                case Requeue():
                    if attempt := self._attempt(decision.attempt):
                        self._in_background(self._requeue(attempt))
                case Deny():
                    if attempt := self._attempt(decision.attempt):
                        attempt.grant(Refused(self._why_denied(decision)))
                case Short():
                    logger.info("the pool is short: %d attempts wait for shared files", decision.waiting)
                    self.report(PoolShort())

    async def _requeue(self, attempt: RunningAttempt) -> None:
        await attempt.abort()
        self.report(TaskRequeued(attempt.id))

    def _why_denied(self, decision: Deny) -> str:
        files = self._volume.shared_files()
        return (
            f"{decision.attempt} holds all {len(files)} shared files of {self.name} "
            f"({format_size(sum(file.size for file in files))}) and needs more: set worker.shared_files or "
            "worker.shared_file_size higher, or make the input splits smaller (--split-size)"
        )


def measured(paths: Sequence[str]) -> FilesMeasured | Refused:
    """The sizes of the files at ``paths``, or what is wrong with the first that is none."""
    sizes = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            return Refused(f"cannot read the input {path}: {error.strerror}")
        if not stat.S_ISREG(status.st_mode):
            return Refused(f"the input {path} is no regular file")
        sizes.append(status.st_size)
    return FilesMeasured(tuple(sizes))


async def serve(
    config: Config,
    name: WorkerName,
    spawning: socket.socket | None,
    stopping: asyncio.Event,
    *,
    leave_with_master: bool = False,
) -> None:
    """Open the worker's own volume, and serve the master until ``stopping`` is set, or until it leaves.

    ``spawning`` is a link to a spawner, where there is one already.
    """
    folders, user = config.worker_folders(name), find_task_user(config.worker.task_user)
    for folder in (folders.scratch, folders.output):
        folder.mkdir(parents=True, exist_ok=True)
    volume = await own_volume(config, name, buffered=leave_with_master)
    try:
        spawners = await Spawners.start(spawning, user, Hung())
        # The volume's lock tells that no process of an earlier start is left to need what its jobs have left.
        await clear(folders.scratch, spawners)
        await Worker(config, name, volume, spawners).serve(stopping, leave_with_master)
    finally:
        volume.close()


def _peers(config: Config, name: WorkerName) -> list[PeerVolume]:
    """The volumes of others that this host was told of; one list for all hosts may name its own, too."""
    return [
        PeerVolume(WorkerName(peer.name), peer.device, peer.mount, peer.serial)
        for peer in config.worker.peers
        if peer.name != name
    ]


def main() -> None:
    """Run one worker until it is told to stop."""
    # An embedded cluster comes in by ``serve``, and pays neither for click nor for the models of a file.
    import click

    from blfs_mr.config import load_config

    @click.command()
    @click.option("--config", "path", type=click.Path(path_type=Path), help="The configuration file.")
    @click.option("--name", required=True, help="This worker's name.")
    def command(path: Path | None, name: str) -> None:
        """Run one worker until it is told to stop."""

        async def until_stopped(stopping: asyncio.Event) -> None:
            config = load_config(path, os.environ)
            set_up_logging(config.logging.level)
            await serve(config, WorkerName(name), None, stopping)

        sys.exit(run(until_stopped))

    command()


if __name__ == "__main__":
    main()
