"""Draining, as a worker sees it: a child that copies one map output's segments to scratch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from blfs_mr.errors import LinkClosed
from blfs_mr.model import Failure, FailureKind, MapOutput
from blfs_mr.net.link import Link
from blfs_mr.wire.messages.child import CannotDrain, ChildToWorker, Drained, RunDrain, WorkerToChild
from daemons.processes import LogFiles, socket_to_child

if TYPE_CHECKING:
    from daemons.hung import Hung
    from daemons.processes import Launcher
    from daemons.spawners import Opener, Spawners


async def drain(launcher: Launcher, task: RunDrain, logs: Path, spawners: Spawners) -> MapOutput | Failure:
    """Run one drain to its end: the output as it lies on scratch, or why it does not.

    What the child prints goes to a file in ``logs``. Raises OSError for that.
    """
    # Not by the output alone: that may be drained a second time, for other partitions, before the first ends.
    name = f"drain-{task.serial:05d}-{task.output.attempt}"
    log = logs / f"{name}.stderr"
    try:
        opener = await spawners.opener(name)
    except LinkClosed as error:
        return Failure(FailureKind.PROCESS, str(error))
    try:
        return await _run(launcher, task, name, LogFiles(log, log), opener, spawners.hung)
    finally:
        if opener is not None:
            await opener.close()


async def _run(
    launcher: Launcher, task: RunDrain, name: str, logs: LogFiles, opener: Opener | None, hung: Hung
) -> MapOutput | Failure:
    try:
        with socket_to_child() as (ours, theirs):
            forked, exited = await launcher.fork(name, theirs, logs, opener.requests if opener else None)
            pid = await forked
    except LinkClosed as error:
        return Failure(FailureKind.PROCESS, str(error))
    result: MapOutput | Failure = Failure(FailureKind.PROCESS, f"{name} died without a report")
    link = await Link.over_socket(ours, incoming=ChildToWorker, outgoing=WorkerToChild, peer=name)
    try:
        if opener is not None:
            opener.hear(task)
        await link.send(task)
        async for envelope in link:
            match envelope.message:
                case Drained() as drained if _is_copy(drained.output, task):
                    result = drained.output
                case Drained():
                    result = Failure(FailureKind.PROCESS, f"{name} tells of a copy that it cannot have made")
                case CannotDrain() as failed:
                    result = failed.failure
                    break  # It may never end, if that is what a device keeps it from.
    except LinkClosed:
        pass  # Its end is awaited below.
    finally:
        await link.close()
    try:
        if await hung.reaped(exited, pid) is None:
            await launcher.kill(name)
            hung.add(pid, name)
    except LinkClosed as error:
        return Failure(FailureKind.PROCESS, str(error))
    return result


def _is_copy(output: MapOutput, task: RunDrain) -> bool:
    """Whether ``output`` is what that drain can have made: its launcher has run user code, which can lie."""
    files = [file.lease.shared_file for file in output.files]
    made = all(
        file.volume == task.scratch.volume and file.path.startswith(task.copy_prefix) for file in files
    )
    return made and (output.attempt, output.worker) == (task.output.attempt, task.output.worker)
