"""What a process loads before a job runs is time that its user waits: what it need not load, it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

import blfs_mr

SLOW = ["pydantic", "asyncssh", "pyarrow", "cryptography", "numpy", "tqdm"]


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("blfs_mr", ["blfs_mr.job", "dataclasses"]),
        ("blfs_mr.submission.supervisor", ["subprocess", "signal", "dataclasses", "blfs_mr.job", *SLOW]),
        ("blfs_mr.submit", ["asyncio", "uvloop", "blfs_mr.core", *SLOW]),
        ("blfs_mr.taskrun.spawner", ["asyncio", "click", "blfs_mr.core", "blfs_mr.net", *SLOW]),
        ("daemons.supervisor", ["click", *SLOW]),
        ("blfs_mr.cli.input, blfs_mr.cli.generate", ["asyncio", "uvloop", "blfs_mr.config", *SLOW]),
    ],
)
def test_what_would_make_a_start_slow_is_left_out(module: str, unneeded: list[str]) -> None:
    # What an environment's own start-up files load is not of this project's making.
    program = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(unneeded) & set(loaded.stdout.split())


def test_the_public_names_are_there_when_they_are_asked_for() -> None:
    for name in blfs_mr.__all__:
        assert getattr(blfs_mr, name) is not None
        assert name in dir(blfs_mr)
    with pytest.raises(AttributeError, match="no attribute 'Jop'"):
        blfs_mr.Jop  # noqa: B018
