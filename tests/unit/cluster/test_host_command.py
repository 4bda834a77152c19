"""``blfs-mr host apply``: what it takes, and that two of them do not mix."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from click.testing import CliRunner

from blfs_mr.cli import host
from blfs_mr.errors import ClusterError, UsageError


@pytest.mark.parametrize("text", ["", "{}", '{"name": 3, "password": "hush"}'])
def test_what_is_no_plan_is_refused_without_being_shown(text: str) -> None:
    result = CliRunner().invoke(host.host_family, ["apply", "prepare"], input=text)
    assert isinstance(result.exception, UsageError)
    assert "run upgrade first" in str(result.exception)
    assert "hush" not in f"{result.exception}{result.output}"


def test_two_commands_at_once_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "LOCK_FILE", str(tmp_path / "lock"))
    plan = '{"cluster": "lab", "name": "n", "runs_master": false, "runs_worker": false, "volume_gid": 7070,' \
           ' "replacement_timeout": 20.0}'  # fmt: skip
    with open(tmp_path / "lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = CliRunner().invoke(host.host_family, ["apply", "configure"], input=plan)
    assert isinstance(result.exception, ClusterError)
    assert "another command is at work" in str(result.exception)
    done = CliRunner().invoke(host.host_family, ["apply", "configure"], input=plan)
    assert '"outcome": "unchanged"' in done.output
