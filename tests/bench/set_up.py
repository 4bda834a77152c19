"""How setting up and asking a cluster grows with its hosts, against simulated SSH hosts of a fixed latency.

The hosts live in a process of their own, as real ones do not share this one's interpreter either. They get
the real wheels, from bare each time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .harness import Comparison
from .processes import seconds_of

LATENCY = 1.0
"""Seconds until a host answers a command. Most of a real init's take longer: packages, formatting, logins."""

MANY, MOST = 16, 100
STATUS_BUDGET = 5.0


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """The rows. Nothing has to be in place for them."""
    yield [
        Comparison(
            case=f"init of {MANY} hosts against init of one",
            ours=partial(seconds_for, MANY, LATENCY, "init"),
            reference=partial(seconds_for, 1, LATENCY, "init"),
            reference_name="init of one host",
            goal=1 / 1.5,
        ),
        Comparison(
            case=f"status of {MOST} hosts",
            ours=partial(seconds_for, MOST, 0.0, "status"),
            reference=lambda: STATUS_BUDGET,
            reference_name=f"a budget of {STATUS_BUDGET:g} s",
            goal=1.0,
        ),
    ]


def seconds_for(count: int, latency: float, command: str) -> float:
    with tempfile.TemporaryDirectory(prefix="blfs-mr-bench-") as folder, _hosts(folder, count, latency):
        line = [sys.executable, "-m", "blfs_mr.cli", "cluster", "--config", Path(folder) / "config.toml"]
        return seconds_of([*line, command])


@contextmanager
def _hosts(folder: str, count: int, latency: float) -> Iterator[None]:
    """Simulated hosts that listen for as long as the context lasts; ``folder`` gets their ``config.toml``."""
    command = [sys.executable, "-m", "tests.bench.simulated_hosts", folder, str(count), str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise RuntimeError("the simulated hosts did not start")
            yield
        finally:
            process.stdin.close()
