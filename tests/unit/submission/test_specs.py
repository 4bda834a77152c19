"""What a submission makes of its options, its job and the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blfs_mr import linux
from blfs_mr.errors import InputError, UsageError
from blfs_mr.formats.inputs import InputFile
from blfs_mr.model import JobSettings, WorkerName
from blfs_mr.submission.program import load_program
from blfs_mr.submission.request import Submission
from blfs_mr.submission.specs import job_settings, split_input
from blfs_mr.wire.messages.client import ClusterDescription, JobDefaults, WorkerDescription

MIB = 1024 * 1024
JOB = """
from blfs_mr import Job
class J(Job):
    {}
    def map(self, record): yield record, 1
    def reduce(self, key, values): yield key, sum(values)
"""


def submission(folder: Path, settings: str = "", **options: Any) -> Submission:
    (folder / "job.py").write_text(JOB.format(settings))
    (folder / "input").touch()
    given = dict.fromkeys(Submission.__dataclass_fields__) | {
        "job": folder / "job.py",
        "inputs": (str(folder / "input"),),
        "params": {},
        "draining": True,
        "files": (),
        "py_modules": (),
        "quiet": False,
    }
    return Submission(**(given | options))


def cluster(*hosts: str) -> ClusterDescription:
    workers = tuple(
        WorkerDescription(
            WorkerName(f"worker-{number}"), host, 2, 0, 8, MIB, 8, (), "", f"/input/worker-{number}"
        )
        for number, host in enumerate(hosts)
    )
    return ClusterDescription(hosts[0], workers, (), (), JobDefaults(7, 100 * MIB, 65536))


def settings_of(asked: Submission) -> JobSettings:
    step = load_program(asked, have_master=False).steps[0]
    return job_settings(
        asked, step, cluster("h"), 4, formats=("lines", "text"), output="/out", output_is_local=True
    )


def test_the_command_line_beats_the_job_file_and_that_the_clusters_defaults(tmp_path: Path) -> None:
    bare = settings_of(submission(tmp_path))
    assert (bare.reduce_tasks, bare.memory, bare.block_size, bare.max_attempts) == (4, 100 * MIB, 65536, 7)
    assert (bare.compression, bare.sort_values, bare.draining) == ("", False, True)
    stated = 'reducers, memory, max_attempts, sort_values = 3, "64MiB", 2, True'
    own = settings_of(submission(tmp_path, stated))
    assert (own.reduce_tasks, own.memory, own.max_attempts, own.sort_values) == (3, 64 * MIB, 2, True)
    asked = settings_of(submission(tmp_path, stated, reducers=9, memory="50MiB", draining=False))
    assert (asked.reduce_tasks, asked.memory, asked.draining) == (9, 50 * MIB, False)


def test_a_codec_is_needed_only_if_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    stated = 'compression = "zstd"'
    with pytest.raises(UsageError, match=r"blfs-mr\[compression\]"):
        load_program(submission(tmp_path, stated), have_master=False)
    assert settings_of(submission(tmp_path, stated, compression="")).compression == ""
    with pytest.raises(UsageError, match="no compression 'gzip'; there are: zstd, lz4"):
        load_program(submission(tmp_path, 'compression = "gzip"'), have_master=False)


def test_input_of_this_host_is_given_to_its_workers(tmp_path: Path) -> None:
    here, files = linux.host_identity(), [InputFile("/input", 100, 0)]
    asked = submission(tmp_path, split_size="60B")
    assert [split.holders for split in split_input(files, "lines", asked, cluster(here, here), 4)] == [()] * 2
    (split, _) = split_input(files, "lines", asked, cluster("elsewhere", here), 4)
    assert split.holders == ("worker-1",)
    with pytest.raises(InputError, match="no worker runs on this host"):
        split_input(files, "lines", asked, cluster("elsewhere"), 4)
