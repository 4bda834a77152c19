"""The operator's command, ``blfs-mr``: the tree of its commands, and no code of any.

A family of commands is one module, named here by its place and loaded when a command of it is run: ``blfs-mr
version`` must not wait for what only a submission needs. To add a family, add its module and a line.
"""

from __future__ import annotations

from typing import NoReturn

from blfs_mr.cli.lazy import LazyGroup
from blfs_mr.console import run

# A submission is the same code as `python -m blfs_mr.submit`.
_JOB = LazyGroup("job", {"submit": "blfs_mr.submit:submit"}, help="Run jobs.")

BLFS_MR = LazyGroup(
    "blfs-mr",
    {
        "cluster": "blfs_mr.cli.cluster:cluster_family",
        "host": "blfs_mr.cli.host:host_family",
        "input": "blfs_mr.cli.input:input_family",
        "output": "blfs_mr.cli.output:output_family",
        "volume": "blfs_mr.cli.volume:volume_family",
        "job": _JOB,
        "lab": "blfs_mr.cli.lab:lab_family",
        "status": "blfs_mr.cli.status:status",
        "version": "blfs_mr.cli.version:version",
    },
    help="MapReduce whose reducers read the mappers' data straight from shared block devices.",
)


def main() -> NoReturn:
    """The entry point of ``blfs-mr``."""
    run(BLFS_MR, "blfs-mr")
