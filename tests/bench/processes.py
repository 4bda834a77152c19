"""Running commands as whole processes, and leaving none behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from blfs_mr import linux

REPOSITORY = Path(__file__).parents[2]

Command = Sequence[object]
"""A program and its arguments: anything that str() makes them of, such as paths and numbers."""

DEADLINE = 120.0
"""Seconds after which a measured command counts as hung; the slowest takes a few."""


LEFT_OUT = frozenset({"BLFS_MR_CONFIG", "PYTHONDONTWRITEBYTECODE"})
"""Variables that a measured command does not see. A configuration of the user would change what is measured;
without bytecode every process would compile the modules of either side anew."""


class CommandFailed(Exception):
    """A measured command that failed or hung: its time would mean nothing."""


def seconds_of(*commands: Command, deadline: float = DEADLINE) -> float:
    """Run ``commands`` at the same time and return the seconds from the first start to the last exit."""
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        started = time.perf_counter()
        processes = [start(command, stdout=subprocess.DEVNULL, stderr=said) for command in commands]
        try:
            for process in processes:
                if not _ended(process, started + deadline - time.perf_counter()):
                    raise CommandFailed(f"not done after {deadline:g} s: {_shown(commands)}")
            seconds = time.perf_counter() - started
        finally:
            for process in processes:
                kill(process)
        if any(process.returncode for process in processes):
            said.seek(0)
            codes = [process.returncode for process in processes]
            raise CommandFailed(f"exit codes {codes}: {_shown(commands)}\n{said.read()[-4000:]}")
        return seconds


def start(command: Command, *, stdout: int, stderr: IO[Any]) -> subprocess.Popen[bytes]:
    """Start ``command`` in the repository, as the leader of a group that :func:`kill` can reach."""
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name not in LEFT_OUT},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill what runs of the group of ``process``, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def none_left_behind() -> Iterator[None]:
    """In the end kill every process that was started within, orphans of orphans included.

    Orphans become children of this process, so none can hide in a group of its own. The children that it had
    before are left alone. A termination signal ends the block like an exception.
    """
    ours = os.getpid()
    spared = set(linux.children_of(ours))

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    linux.set_child_subreaper()
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        while running := set(linux.children_of(ours)) - spared:
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in running:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        signal.signal(signal.SIGTERM, before)
        linux.set_child_subreaper(False)


def _ended(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait until ``process`` has exited, at most ``timeout`` seconds.

    ``Popen.wait`` with a timeout looks every 50 ms, which would round all times up to that.
    """
    descriptor = os.pidfd_open(process.pid)
    try:
        return bool(select.select([descriptor], [], [], max(0.0, timeout))[0])
    finally:
        os.close(descriptor)


def _shown(commands: Sequence[Command]) -> str:
    return " & ".join(" ".join(map(str, command)) for command in commands)
