"""Where a worker keeps what a job needs on scratch, and who may go there.

What is the worker's alone, logs and drained map outputs, stands in ``jobs/JOB``. What the job's processes
write to by themselves stands there too, unless they have a user of their own: then it is in a room of its own
below ``tasks``, a folder that they may pass and not list. Only those whom the worker tells its name find it.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import aiofiles
import aiofiles.os

from blfs_mr.errors import BlfsMrError
from blfs_mr.model import UNCOMMITTED, JobId
from daemons.task_user import CLOSED, LISTED, PASSABLE, READABLE, SHARED, TaskUser

if TYPE_CHECKING:
    from daemons.spawners import Spawners

aio_rmtree = aiofiles.os.wrap(shutil.rmtree)

JOBS, ROOMS = "jobs", "tasks"


class JobFolders:
    """The folders of one job below ``scratch``; ``user`` is that of its tasks, None for the worker's own.

    Outputs that stay on this worker are below ``kept``.
    """

    def __init__(self, scratch: Path, kept: Path, job: JobId, user: TaskUser | None) -> None:
        self._private, self._kept, self._user = scratch / JOBS / job, kept, user
        self._room = self._private if user is None else scratch / ROOMS / secrets.token_hex(16)
        self.logs, self.drained = self._private / "logs", self._private / "drained"

    async def place_source(self, number: int, source: bytes) -> Path:
        """Write the job file to where launcher ``number`` finds it, and make what launchers need.

        It has a folder of its own: what another one that died had placed may be half written. Raises OSError.
        """
        path = self._room / f"launcher-{number}" / "job.py"
        await self._make(path.parent)
        await aiofiles.os.makedirs(self.logs, exist_ok=True)
        async with aiofiles.open(path, "wb") as file:
            await file.write(source)
        if self._user is not None:
            self._user.give(path, READABLE)
        self._share(path.parent)
        return path

    def scratch(self, name: str) -> Path:
        """The folder of an attempt called ``name``."""
        return self._room / name

    async def make_scratch(self, name: str) -> None:
        """Make it. Raises OSError."""
        await self._make(self.scratch(name))
        self._share(self.scratch(name))

    async def remove_scratch(self, name: str) -> None:
        """Remove it with all that is in it."""
        await aio_rmtree(self.scratch(name), ignore_errors=True)

    async def remove(self, spawners: Spawners) -> None:
        """Remove everything. No process of the job may be left."""
        if self._user is not None:
            await remove_as_tasks(spawners, self._room)
            await aio_rmtree(self._room, ignore_errors=True)
        await aio_rmtree(self._private, ignore_errors=True)

    async def make_output(self, output: Path) -> None:
        """Make the job's ``output`` folder, and the one for what is not committed yet. Raises OSError.

        Tasks may read what stays on this worker: it may be the input of a later job.
        """
        await aiofiles.os.makedirs(output / UNCOMMITTED, exist_ok=True)
        if self._user is not None:
            # What is not committed is open to the tasks' group, for the one that was handed it.
            (output / UNCOMMITTED).chmod(CLOSED)
        if self._user is not None and output.is_relative_to(self._kept):
            self._kept.chmod(PASSABLE)
            depth = len(output.relative_to(self._kept).parts)
            for folder in (output, *output.parents)[:depth]:
                self._user.give(folder, LISTED)

    async def _make(self, folder: Path) -> None:
        """Make a folder in the room. It is this worker's alone yet.

        So is the room: tasks that could put something in a folder's place, as a link to a secret, would
        be given that.
        """
        await aiofiles.os.makedirs(folder)
        if self._user is not None:
            self._user.give(self._room, LISTED)

    def _share(self, folder: Path) -> None:
        """Let tasks write in ``folder``. From then on this worker writes nothing there."""
        if self._user is not None:
            self._user.give(folder, SHARED)


async def clear(scratch: Path, spawners: Spawners) -> None:
    """Remove what jobs of an earlier worker have left, and make ready for others.

    Raises ConfigError where tasks could not get there, OSError.
    """
    rooms = scratch / ROOMS
    if spawners.user is not None:
        for folder, mode in ((scratch, PASSABLE), (rooms, PASSABLE), (scratch / JOBS, CLOSED)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        spawners.user.check_way_to(rooms, "worker.scratch")
        for room in rooms.iterdir():
            await remove_as_tasks(spawners, room)
    for folder in (rooms, scratch / JOBS):
        for left in folder.iterdir() if folder.is_dir() else ():
            await aio_rmtree(left, ignore_errors=True)


async def remove_as_tasks(spawners: Spawners, room: Path) -> None:
    """Remove what tasks have made in a room and closed to all others: only their user can."""
    with contextlib.suppress(BlfsMrError):
        await (await spawners.tasks()).remove_contents(str(room))
