"""All hosts at once: connections to them, and what each did, kept apart by host.

One host's failure never hides what came of the others: results and errors are collected, and it is the
caller that decides whether to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from blfs_mr.cluster.ssh import SshAddress, SshHost, SshPolicy, connected
from blfs_mr.errors import BlfsMrError, ClusterError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of one action on several hosts, by the hosts' names."""

    results: Mapping[str, T] = field(default_factory=dict)
    errors: Mapping[str, BlfsMrError] = field(default_factory=dict)

    def check(self, what: str) -> Mapping[str, T]:
        """The results; raises ClusterError with every error, one a line, where there is one."""
        if self.errors:
            told = "\n".join(f"  {name}: {error}" for name, error in self.errors.items())
            raise ClusterError(f"{what} failed on {len(self.errors)} of {self.count} hosts:\n{told}")
        return self.results

    @property
    def count(self) -> int:
        """The number of hosts."""
        return len(self.results) + len(self.errors)


@dataclass(slots=True)
class Fleet:
    """Connected hosts by name, in the order of the inventory."""

    hosts: dict[str, SshHost]

    async def each(
        self, action: Callable[[SshHost], Awaitable[T]], names: Sequence[str] | None = None
    ) -> Outcome[T]:
        """``action`` on all hosts at once, or on those of ``names``."""
        chosen = [host for name, host in self.hosts.items() if names is None or name in names]
        return await _collected({host.address.name: action(host) for host in chosen})

    def without(self, name: str) -> Fleet:
        """The same hosts, but for one."""
        return Fleet({other: host for other, host in self.hosts.items() if other != name})


@asynccontextmanager
async def connected_fleet(
    addresses: Sequence[SshAddress], policy: SshPolicy, at_once: int
) -> AsyncIterator[tuple[Fleet, Mapping[str, BlfsMrError]]]:
    """Connections to all ``addresses``, made ``at_once`` at a time, and the errors of those that fail."""
    turns, leave = asyncio.Semaphore(at_once), asyncio.Event()
    ready: dict[str, asyncio.Future[SshHost]] = {}

    async def hold(address: SshAddress) -> None:
        # A context of its own for each host, entered and left by one task.
        future = ready[address.name]
        try:
            await turns.acquire()
            async with connected(address, policy) as host:
                turns.release()
                future.set_result(host)
                await leave.wait()
        except BaseException as error:
            if future.done():
                raise
            turns.release()
            future.set_exception(error)

    loop = asyncio.get_running_loop()
    tasks = []
    for address in addresses:
        ready[address.name] = loop.create_future()
        tasks.append(asyncio.create_task(hold(address)))
    try:
        outcome = await _collected(ready)
        yield Fleet(dict(outcome.results)), outcome.errors
    finally:
        leave.set()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _collected(actions: Mapping[str, Awaitable[T]]) -> Outcome[T]:
    done = await asyncio.gather(*actions.values(), return_exceptions=True)
    results: dict[str, T] = {}
    errors: dict[str, BlfsMrError] = {}
    for name, came in zip(actions, done, strict=True):
        if isinstance(came, BlfsMrError):
            errors[name] = came
        elif isinstance(came, BaseException):
            raise came
        else:
            results[name] = came
    return Outcome(results, errors)
