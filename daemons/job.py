"""One job on one worker: its launcher, its attempts, its files, and where its map outputs are."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import aiofiles
import aiofiles.os

from blfs_mr.errors import LinkClosed
from blfs_mr.model import (
    UNCOMMITTED,
    AttemptId,
    Failure,
    FailureKind,
    JobId,
    MapOutput,
    OutputPart,
    VolumeAccess,
    VolumeId,
    VolumeLayout,
    WorkerName,
)
from blfs_mr.wire.messages.base import MapOutputLost, TaskFailed
from blfs_mr.wire.messages.child import RunDrain, RunMapTask, RunReduceTask
from blfs_mr.wire.messages.worker import (
    DrainFailed,
    MapOutputDrained,
    MapOutputReady,
    OutputReady,
    PeerVolumesSeen,
    PoolShort,
    PrepareJob,
    TaskDone,
    TaskLaunched,
    TaskRequeued,
    WorkerCondition,
)
from daemons.attempt import RunningAttempt
from daemons.catalogue import Catalogue
from daemons.drain import drain
from daemons.job_folders import JobFolders
from daemons.processes import Launcher, LogFiles
from daemons.spawners import Opener, Spawners

if TYPE_CHECKING:
    from daemons.worker import Worker

logger = logging.getLogger("blfs_mr.worker")

Report = (
    TaskLaunched
    | MapOutputReady
    | OutputReady
    | TaskDone
    | TaskFailed
    | TaskRequeued
    | MapOutputLost
    | PoolShort
    | MapOutputDrained
    | DrainFailed
    | PeerVolumesSeen
    | WorkerCondition
)
DRAINS_AT_ONCE = 2
"""Drains of one job that run at a time: one reads while the other writes; more would only seek."""


class JobOnWorker:
    """Everything that a worker keeps for a job, from ``PrepareJob`` to ``CleanUpJob``."""

    def __init__(
        self,
        prepared: PrepareJob,
        worker: Worker,
        launcher: Callable[[JobId], Awaitable[Launcher]],
        spawners: Spawners,
        folders: JobFolders,
        output: Path,
        log_limit: int,
        direct: bool,
    ) -> None:
        """``direct`` says whether the file system under ``folders`` takes direct reads."""
        self.id, self.spec, self.log_limit = prepared.job, prepared.spec, log_limit
        self.worker_name: WorkerName = worker.name
        self.attempts: dict[AttemptId, RunningAttempt] = {}
        self._map_tasks = prepared.map_tasks
        self._worker = worker
        self._spawners, self._folders, self._output = spawners, folders, output
        self._catalogue = Catalogue()
        self._parts: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._drains = 0
        self._stopping = False
        self._draining = asyncio.Semaphore(DRAINS_AT_ONCE)
        self._scratch = VolumeAccess(
            VolumeId(secrets.token_hex(16)), VolumeLayout.DIRECTORY, str(folders.drained), direct=direct
        )
        self._process: Launcher | None = None
        self._new_launcher = launcher
        self._launchers = 0
        self._launcher = asyncio.create_task(self._start())

    # ------------------------------------------------------------ attempts

    def run(self, attempt: AttemptId, first: RunMapTask | RunReduceTask) -> None:
        """Run an attempt, beside all others."""
        running = self.attempts[attempt] = RunningAttempt(attempt, self, first)
        task = asyncio.create_task(self._run(running))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, attempt: RunningAttempt) -> None:
        try:
            if isinstance(attempt.first, RunReduceTask):
                await self._folders.make_scratch(str(attempt.id))
                await self._folders.make_output(self._output)
            await attempt.run()
        except OSError as error:
            self.report(TaskFailed(attempt.id, Failure(FailureKind.STORAGE, f"{self.worker_name}: {error}")))
        except LinkClosed as error:
            self.report(TaskFailed(attempt.id, Failure(FailureKind.PROCESS, f"{self.worker_name}: {error}")))
        finally:
            del self.attempts[attempt.id]
            if attempt.hung is None:
                self._worker.attempt_over(attempt)
            else:
                # What it holds stays its own until it is gone.
                over = partial(self._worker.attempt_over, attempt)
                self._worker.hung.add(attempt.hung, f"{attempt.id} of job {self.id}", over)
            if isinstance(attempt.first, RunReduceTask):
                await self._folders.remove_scratch(str(attempt.id))
                await _remove(attempt.first.output_path)

    def reduce_task(self, attempt: AttemptId) -> RunReduceTask:
        """The first message to a reduce child: its folders and file names."""
        part = f"part-{attempt.task.index:05d}"
        return RunReduceTask(
            attempt,
            self._map_tasks,
            self._worker.read_deadline,
            str(self._folders.scratch(str(attempt))),
            str(self._output / UNCOMMITTED / f"{part}.{attempt.number}"),
            str(self._output / part),
        )

    def log_files(self, attempt: AttemptId) -> LogFiles:
        """Where the attempt's stdout and stderr go."""
        logs = self._folders.logs
        return LogFiles(logs / f"{attempt}.stdout", logs / f"{attempt}.stderr")

    async def launcher(self) -> tuple[Launcher, Failure | None]:
        """The job's launcher, another one if it died; and why it could not load the job file, if so."""
        if self._launcher.done() and (self._process is None or not self._process.alive):
            self._launcher = asyncio.create_task(self._start())
        return await self._launcher

    async def _start(self) -> tuple[Launcher, Failure | None]:
        if self._process is not None:
            # Only its link may have ended yet, and the spawner knows both by the same name.
            await self._process.close()
        self._launchers += 1
        source = await self._folders.place_source(self._launchers, self.spec.file.source)
        self._process = launcher = await self._new_launcher(self.id)
        return launcher, await launcher.load(self.spec, str(source))

    async def new_opener(self, name: str) -> Opener | None:
        """An opener for the attempt called ``name``, where it needs one. Raises LinkClosed."""
        return await self._spawners.opener(name)

    # ------------------------------------------------------------ what attempts ask for

    async def look_at_peers(self) -> None:
        """See which peers' volumes can be read, and tell the master before anything else."""
        await self._worker.look_at_peers()

    def report(self, message: Report) -> None:
        """Tell the master."""
        self._worker.report(message)

    def pool_request(self, attempt: AttemptId) -> None:
        """A mapper needs one more shared file."""
        self._worker.request_lease(attempt)

    def publish(self, message: MapOutputReady) -> None:
        """A mapper has flushed its output."""
        self._worker.publish(message)

    def part(self, attempt: AttemptId, path: str, size: int) -> OutputPart:
        """What a reducer has committed."""
        self._parts.append(path)
        return OutputPart(attempt.task.index, path, self.worker_name, size)

    # ------------------------------------------------------------ map outputs

    def learn(self, output: MapOutput, volume: VolumeAccess | None) -> None:
        """Where a map task's output is now; ``volume`` is how this host reaches it, None if it cannot."""
        self._catalogue.publish(output, volume)
        for attempt in list(self.attempts.values()):
            attempt.offer(self._catalogue)

    def offer_to(self, attempt: RunningAttempt) -> None:
        """A reducer asks for map outputs that it was not given yet."""
        attempt.offer(self._catalogue)

    def locate(self, output: AttemptId, partition: int) -> MapOutput | None:
        """Where a reducer of ``partition`` finds the output of that very attempt now."""
        return self._catalogue.locate(output, partition)

    def drain(self, output: AttemptId, partitions: tuple[int, ...]) -> None:
        """Copy to scratch what ``partitions`` need of a map output, beside everything else."""
        task = asyncio.create_task(self._drain(output, partitions))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, attempt: AttemptId, partitions: tuple[int, ...]) -> None:
        async with self._draining:
            output = self._catalogue.published(attempt)
            if output is None or self._stopping:
                return  # It was replaced meanwhile, or the job is over; the master knows.
            self._drains += 1
            task = RunDrain(
                self._drains,
                output,
                self._catalogue.volumes_of([output]),
                self._worker.read_deadline,
                partitions,
                self.spec.settings.reduce_tasks,
                self._scratch,
            )
            result = await self._run_drain(task)
        if isinstance(result, Failure):
            self.report(DrainFailed(attempt, result))
            return
        self._catalogue.drained(result, partitions, self._scratch)
        self.report(MapOutputDrained(attempt))

    async def _run_drain(self, task: RunDrain) -> MapOutput | Failure:
        try:
            await aiofiles.os.makedirs(self._scratch.root, exist_ok=True)
            launcher, failure = await self.launcher()
            return failure or await drain(launcher, task, self._folders.logs, self._spawners)
        except OSError as error:
            return Failure(FailureKind.STORAGE, str(error))
        except LinkClosed as error:
            return Failure(FailureKind.PROCESS, str(error))

    # ------------------------------------------------------------ the end

    @property
    def busy(self) -> bool:
        """Whether attempts or drains of it are under way."""
        return bool(self._tasks)

    async def settled(self) -> None:
        """Wait until none is."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Kill every attempt, wait until all are reaped, and let the launcher go."""
        self._stopping = True
        await asyncio.gather(*(attempt.abort() for attempt in list(self.attempts.values())))
        if self._process is not None:
            # With the launcher its children die, a drain among them; so does an import that never ends.
            await self._process.close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.wait([self._launcher])
        if self._process is not None:
            await self._process.close()

    async def delete_files(self, keep_output: bool) -> None:
        """Delete what the job left on this worker's disk, its committed parts too unless ``keep_output``."""
        await self._folders.remove(self._spawners)
        if not keep_output:
            for part in self._parts:
                await _remove(part)
        for folder in (self._output / UNCOMMITTED, self._output)[: 1 if keep_output else 2]:
            try:
                await aiofiles.os.rmdir(folder)
            except OSError:
                pass  # It never was made, or other workers' files are there; the last worker removes it.


async def _remove(path: str) -> None:
    """Delete the file at ``path``, if it is there."""
    try:
        await aiofiles.os.remove(path)
    except FileNotFoundError:
        pass
