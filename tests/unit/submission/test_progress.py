"""What the submitter tells at the end of a job."""

from __future__ import annotations

import pytest

from blfs_mr.model import JobId
from blfs_mr.submission.progress import Reporter
from blfs_mr.wire.messages.client import JobEnded

PEAKS = {"map.peak_memory": 100 << 20, "reduce.peak_memory": 200 << 20}


def test_the_summary_tells_the_most_memory_that_a_task_took(capsys: pytest.CaptureFixture[str]) -> None:
    ended = JobEnded(JobId("00" * 8), None, (), PEAKS | {"user.words": 3}, 1.0, 0)
    Reporter(quiet=False).succeeded(ended, 1, 10, "")
    said = capsys.readouterr().err
    assert "memory    100MiB at most in a map task, 200MiB in a reduce task" in said
    assert "words = 3" in said


def test_nothing_is_told_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter(quiet=True).succeeded(JobEnded(JobId("00" * 8), None, (), PEAKS, 1.0, 0), 1, 10, "")
    assert capsys.readouterr().err == ""
