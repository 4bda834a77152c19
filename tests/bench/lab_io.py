"""Reading a peer's shared files over iSCSI: our reader beside fio, on the same files through the same device.

The path is a lab's: the owner's disk is exported by a target, and the peer sees it through a session of its
own, mounted as the contract wants it. Our reader verifies every block; fio only reads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from blfs_mr.lab.plan import Backend, LabPlan, node_names
from blfs_mr.lab.running import down, new_plan, up, why_not
from blfs_mr.model import VolumeLayout
from blfs_mr.spill.buffers import READ_DEPTH, READ_SIZE

from .file_systems import FileSystem
from .fio import seconds_to_read, why_no_fio
from .harness import Comparison
from .shuffle_io import FILE_SIZE, REDUCERS, Files

DEFAULT_SIZE = 128 << 20
GOAL = 0.9


@contextmanager
def comparisons(size: int) -> Iterator[list[Comparison]]:
    """The rows, over files of about ``size`` bytes in all."""
    count = max(1, size // FILE_SIZE)
    reference = f"fio, direct, libaio, {READ_SIZE >> 10} KiB, depth {READ_DEPTH}"
    row = partial(Comparison, reference_name=reference, goal=GOAL, size=count * FILE_SIZE)
    unavailable = why_no_fio() or why_not(Backend.ISCSI, VolumeLayout.FILE)
    if unavailable:
        yield [row("read a peer's shared files over iSCSI", _never, _never, unavailable=unavailable)]
        return
    with tempfile.TemporaryDirectory(prefix="blfs-mr-bench-") as folder:
        plan = _plan(Path(folder) / "lab", count)
        up(plan)
        try:
            owner, peer = plan.nodes
            own, seen = plan.attachment(owner, owner), plan.attachment(peer, owner)
            written = Files(FileSystem(own.mount, str(own.device)), count)

            def ours(reducers: int) -> float:
                written.write_for(reducers)
                return written.seen_in(seen.mount).read_as_written_for(reducers)

            paths = written.seen_in(seen.mount).paths
            fio = partial(seconds_to_read, paths, count * FILE_SIZE, READ_SIZE, READ_DEPTH)
            yield [
                row(
                    f"read and verify segments of {each} of a peer, {_described(plan)}", partial(ours, n), fio
                )
                for n, each in ((1, "60 MiB"), (REDUCERS, "4 MiB"))
            ]
        finally:
            down(plan)


def _plan(folder: Path, count: int) -> LabPlan:
    return new_plan(
        folder,
        Backend.ISCSI,
        VolumeLayout.FILE,
        node_names(2),
        shared_files=count,
        shared_file_size=FILE_SIZE,
        slots=1,
        session_timeout=60,
    )


def _described(plan: LabPlan) -> str:
    initiator = "open-iscsi" if plan.in_kernel else "qemu-storage-daemon"
    return f"ext4 over iSCSI (tgt, {initiator})"


def _never() -> float:
    raise AssertionError("a comparison that is unavailable is not measured")
