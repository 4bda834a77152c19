"""Outputs that stay on the workers' disks: brought here, or removed there.

They belong to the daemons' user, so root does both on the host; an SFTP session is the SSH user's. A host
that is down hides nothing of what the others hold: each host has a result or an error of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path, PurePosixPath

import aiofiles

from blfs_mr.cluster.fleet import Fleet, Outcome
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.errors import OutputError
from blfs_mr.formats.meta import MetaEntry

# A part that is not there was removed by an earlier call, which was cut short.
_REMOVE = """\
set -e
removed=0
remove() {
    if [ -e "$1" ]; then
        rm -- "$1"
        removed=$((removed + 1))
    fi
}
"""

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
        for entry in own:
            target = folder / local_name(entry)
            unfinished = target.with_name(f".{target.name}.unfinished")
            try:
                async with aiofiles.open(unfinished, "wb") as file:
                    await host.read(entry.path, file.write)
                unfinished.replace(target)
            except OSError as error:
                raise OutputError(f"{target} cannot be written: {error.strerror or error}") from error
            finally:
                unfinished.unlink(missing_ok=True)
        return len(own)

    return await fleet.each(from_host)


async def remove(fleet: Fleet, entries: Sequence[MetaEntry]) -> Outcome[int]:
    """Remove all parts on the connected hosts; the number of those that were there, by host."""

    async def on_host(host: SshHost) -> int:
        paths = [entry.path for entry in entries if entry.worker == host.address.name]
        lines = [_REMOVE, *(f"remove {shlex.quote(path)}\n" for path in paths), 'echo "$removed"\n']
        script = "".join(lines).encode(errors="surrogateescape")
        return int(await host.check("sh -s", input=script))

    return await fleet.each(on_host)
