"""Outputs that stay on the workers' disks: brought here by SFTP, or removed there.

A host that is down hides nothing of what the others hold: each host has a result or an error of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path, PurePosixPath

import asyncssh

from blfs_mr.cluster.fleet import Fleet, Outcome
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.errors import OutputError
from blfs_mr.formats.meta import MetaEntry

OnFleet = Callable[[Fleet], Awaitable[None]]
"""What is done with connected hosts."""


def local_name(entry: MetaEntry) -> str:
    """The name that the part gets here. Raises OutputError where its path has none."""
    name = PurePosixPath(entry.path).name
    if not name or name == ".." or "\0" in name:
        raise OutputError(f"{entry.path!r} on {entry.worker} is no path of a part")
    return name


async def fetch(fleet: Fleet, entries: Sequence[MetaEntry], folder: Path) -> Outcome[int]:
    """Bring all parts of the connected hosts into ``folder``; the number of parts from each host.

    Raises OutputError where two parts would get one name.
    """
    names = [local_name(entry) for entry in entries]
    if len(set(names)) < len(names):
        raise OutputError("two parts of this output have one name: fetch them from their workers by hand")

    async def from_host(host: SshHost) -> int:
        own = [entry for entry in entries if entry.worker == host.address.name]
        async with host.files() as client:
            for entry in own:
                target = folder / local_name(entry)
                unfinished = target.with_name(f".{target.name}.unfinished")
                try:
                    # Otherwise, with an eye on holes, an early end of the file would be none.
                    await client.get(entry.path, unfinished, sparse=False)
                    unfinished.replace(target)
                except ConnectionError:
                    raise  # The host's, and told as such.
                except OSError as error:
                    raise OutputError(f"{target} cannot be written: {error.strerror or error}") from error
                finally:
                    unfinished.unlink(missing_ok=True)
        return len(own)

    return await fleet.each(from_host)


async def remove(fleet: Fleet, entries: Sequence[MetaEntry]) -> Outcome[int]:
    """Remove all parts on the connected hosts; the number of those that were there, by host."""

    async def on_host(host: SshHost) -> int:
        removed = 0
        async with host.files() as client:
            for entry in entries:
                if entry.worker == host.address.name:
                    try:
                        await client.remove(entry.path)
                        removed += 1
                    except asyncssh.SFTPNoSuchFile:
                        pass  # An earlier call, which was cut short, has removed it.
        return removed

    return await fleet.each(on_host)
