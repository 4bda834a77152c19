"""What a volume holds, in lines for an operator."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from blfs_mr.linux import open_direct
from blfs_mr.model import VolumeLayout
from blfs_mr.spill.reader import read_lease
from blfs_mr.units import format_size
from blfs_mr.volume.contract import VolumePlace
from blfs_mr.volume.superblock import NO_CLAIM, Claim, Superblock, TableEntry


def summary_lines(superblock: Superblock, entries: Sequence[TableEntry], claim: Claim) -> Iterator[str]:
    """What the volume is and who owns it."""
    sizes = sorted({entry.size for entry in entries})
    of = format_size(sizes[0]) if len(sizes) == 1 else f"{format_size(sizes[0])} to {format_size(sizes[-1])}"
    yield f"volume     {superblock.volume}"
    yield f"owner      {superblock.owner}"
    yield f"layout     {superblock.layout.value}"
    yield f"formatted  {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(superblock.formatted_at))}"
    yield f"files      {len(entries)} of {of}, together {format_size(sum(e.size for e in entries))}"
    if claim == NO_CLAIM:
        yield "in use     no"
    else:
        yield f"in use     by process {claim.process} on host {claim.host}, incarnation {claim.incarnation}"


def lease_lines(volume: VolumePlace, superblock: Superblock, entries: Sequence[TableEntry]) -> Iterator[str]:
    """One line a shared file: its name, size, and the last lease in its header. Raises OSError."""
    for entry in entries:
        raw = volume.layout is VolumeLayout.RAW
        fd = open_direct(volume.device if raw else os.path.join(volume.root, entry.name))
        try:
            lease = read_lease(fd, entry.shared_file(superblock))
        finally:
            os.close(fd)
        if lease is None:
            told = "never published"
        else:
            told = f"generation {lease.generation}, {lease.attempt} of job {lease.attempt.task.job}"
        yield f"{entry.name}  {format_size(entry.size)}  {told}"
