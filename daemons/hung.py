"""Processes that were killed and do not end, since the kernel waits for a device on their behalf.

Nothing can be done about one but to wait until the device answers or its driver gives up. Until it is gone
it may still read or write: what it holds must not be given to others.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine

from blfs_mr.errors import LinkClosed
from blfs_mr.wire.messages.launcher import ChildExited

logger = logging.getLogger("blfs_mr.worker")

REAPING_DEADLINE = 3.0
"""Seconds after which a process that was killed counts as hung. Others are gone within milliseconds."""


class Hung:
    """The hung processes of one worker, each with a word on what it was doing."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._ending: set[str] = set()
        self._waiting: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """What they were doing, with their pids."""
        return tuple(f"{name} (process {pid})" for name, pid in self._processes.items())

    def holds(self, name: str) -> bool:
        """Whether the process that was doing ``name`` is here still, though it was told to end."""
        return name in self._processes or name in self._ending

    def add(self, pid: int, name: str, when_gone: Callable[[], None] = lambda: None) -> None:
        """The process ``pid`` was killed and is not gone; once it is, ``when_gone`` is called."""
        logger.error("process %d hangs in the kernel and cannot be ended: %s", pid, name)
        self._processes[name] = pid

        async def wait() -> None:
            await _gone(pid)
            logger.info("process %d is gone at last: %s", pid, name)
            del self._processes[name]
            when_gone()

        self._in_background(wait())

    def expect_end(self, exited: asyncio.Future[ChildExited], pid: int, name: str) -> None:
        """The process ``pid`` was told to end; it is added if it does not."""
        self._ending.add(name)

        async def wait() -> None:
            try:
                if await self.reaped(exited, pid) is None:
                    self.add(pid, name)
            except LinkClosed:
                pass  # It is gone, and so is its parent.
            finally:
                self._ending.discard(name)

        self._in_background(wait())

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        waiting = asyncio.create_task(work)
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    def close(self) -> None:
        """Wait for none of them any longer."""
        for waiting in self._waiting:
            waiting.cancel()

    @staticmethod
    async def reaped(exited: asyncio.Future[ChildExited], pid: int) -> ChildExited | None:
        """How a process that was told to end has ended; None if it has not, REAPING_DEADLINE later.

        Raises LinkClosed once it is gone, where the parent that would have told how is gone as well.
        """
        try:
            async with asyncio.timeout(REAPING_DEADLINE):
                try:
                    return await asyncio.shield(exited)
                except LinkClosed:
                    # The parent's death is its own too, but at its own time.
                    await _gone(pid)
                    raise
        except TimeoutError:
            return None


async def _gone(pid: int) -> None:
    """Wait until a process has ended with all of its threads (pidfd_open(2)), whosever child it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
