"""The spawners of a worker: one, or two where tasks have a user of their own.

What runs user code comes from the tasks' spawner. Lookers and openers are the worker's own, and come from the
other one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from blfs_mr.errors import ConfigError, LinkClosed
from blfs_mr.net.link import Link
from blfs_mr.wire.messages.base import CommitOutput
from blfs_mr.wire.messages.child import (
    ChildToWorker,
    LeaseGranted,
    MapOutputs,
    RunDrain,
    RunMapTask,
    RunReduceTask,
    WorkerToChild,
)
from blfs_mr.wire.messages.launcher import ChildExited
from daemons.hung import Hung
from daemons.processes import Spawner, socket_to_child
from daemons.task_user import TaskUser

ToldToOpeners = RunMapTask | RunReduceTask | RunDrain | LeaseGranted | MapOutputs | CommitOutput
"""What an attempt is told that says what it may open."""


class Opener:
    """The worker's end of an opener; ``requests`` is the other one, which the attempt gets."""

    def __init__(
        self,
        name: str,
        link: Link,
        requests: socket.socket,
        forked: asyncio.Future[int],
        exited: asyncio.Future[ChildExited],
        hung: Hung,
    ) -> None:
        self.requests = requests
        self._name, self._link = name, link
        self._forked, self._exited, self._hung = forked, exited, hung

    def hear(self, message: WorkerToChild) -> None:
        """What the attempt is told, as far as it says what the attempt may open."""
        if isinstance(message, ToldToOpeners):
            self._link.post(message)

    async def close(self) -> None:
        """Let it go. It ends, unless it hangs in the kernel: then it is counted."""
        self.requests.close()
        await self._link.close()
        with contextlib.suppress(LinkClosed):
            self._hung.expect_end(self._exited, await self._forked, self._name)


class Spawners:
    """Both kinds, each started again should it have died."""

    def __init__(self, own: Spawner, tasks: Spawner | None, user: TaskUser | None, hung: Hung) -> None:
        """Without a ``user`` of their own, tasks come from the worker's ``own`` spawner as well."""
        self.user, self.hung = user, hung
        self._own, self._tasks = own, tasks
        self._openers = 0

    @classmethod
    async def start(cls, given: socket.socket | None, user: TaskUser | None, hung: Hung) -> Spawners:
        """``given`` is a link to a spawner of the worker's own user, where there is one already.

        Raises ConfigError where there can be no process of ``user``.
        """
        own = Spawner(given) if given is not None else await Spawner.start()
        return cls(own, None if user is None else await Spawner.start_as(user), user, hung)

    async def own(self) -> Spawner:
        """The one for what is the worker's own."""
        if not self._own.alive:
            self._own = await Spawner.start()
        return self._own

    async def tasks(self) -> Spawner:
        """The one for what runs user code. Raises LinkClosed where there can be none now."""
        if self.user is None or self._tasks is None:
            return await self.own()
        if not self._tasks.alive:
            try:
                self._tasks = await Spawner.start_as(self.user)
            except ConfigError as error:
                raise LinkClosed(str(error)) from error
        return self._tasks

    async def opener(self, name: str) -> Opener | None:
        """An opener for the attempt or drain called ``name``; None where it can open everything by itself.

        Raises LinkClosed.
        """
        if self.user is None:
            return None
        self._openers += 1
        name = f"opener-{self._openers} of {name}"
        spawner = await self.own()
        with (
            socket_to_child() as (ours, theirs),
            socket_to_child(socket.SOCK_SEQPACKET) as (of_child, of_opener),
        ):
            forked, exited = await spawner.opener(name, theirs, of_opener, self.user.gid)
        link = await Link.over_socket(ours, incoming=ChildToWorker, outgoing=WorkerToChild, peer=name)
        return Opener(name, link, of_child, forked, exited, self.hung)

    async def close(self) -> None:
        """Let them go, with all that they have forked."""
        await self._own.close()
        if self._tasks is not None:
            await self._tasks.close()
