"""Programs of the system, run for tests of whole hosts."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE = 300.0
"""Seconds for what should take a few: machines of tests are slow, and emulated ones slower."""

ENVIRONMENT = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}


def tool(*command: str | Path) -> str:
    """Run a program and return what it printed. Its failure raises AssertionError with what it said."""
    ran = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert ran.returncode == 0, f"{' '.join(map(str, command))}: {ran.stderr or ran.stdout}"
    return ran.stdout.strip()


def wait_until(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Return when ``condition`` holds; AssertionError when it does not in time."""
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until, f"after {deadline:.0f} s, still not: {what}"
        time.sleep(0.25)
