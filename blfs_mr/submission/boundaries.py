"""The keys that divide the partitions of a totally ordered job, found by mapping a sample of the input."""

from __future__ import annotations

from blfs_mr.errors import InputError
from blfs_mr.job import placed
from blfs_mr.model import InputSplit, JobSettings, SideFile
from blfs_mr.submission.program import Step
from blfs_mr.submission.specs import readable_here
from blfs_mr.wire.messages.client import ClusterDescription


def find_boundaries(
    step: Step,
    splits: tuple[InputSplit, ...],
    description: ClusterDescription,
    settings: JobSettings,
    side_files: tuple[SideFile, ...],
) -> bytes:
    """The encoded boundaries of ``step``, empty where it does not ask for a total order.

    Runs the user's map on the beginnings of some splits, in a process of its own, for a bounded time. Raises
    KeysNotComparable, and InputError where none of the splits is on this host.
    """
    if not step.settings.total_order:
        return b""
    here = readable_here(splits, description)
    if splits and not here:
        raise InputError(
            "for a total order the keys of some input are looked at here, and no input is on this host: "
            "submit it where a worker holds some"
        )
    # Only such jobs pay for these imports.
    from blfs_mr.shuffle.range_partition import choose_boundaries, encode_boundaries
    from blfs_mr.taskrun.sampling import sample_keys

    with placed(side_files):
        keys = sample_keys(step.loaded.job_class, step.params, here, settings.input_format)
    return encode_boundaries(choose_boundaries(keys, settings.reduce_tasks))
