"""The processes of a lab: each carries a mark in its environment, by which it is found again.

So no list of processes has to be kept, which a lab that was cut short would not have finished writing. What a
process starts inherits the mark, whatever session or group it moves to.
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.model import WorkerName

MARK = "BLFS_MR_LAB"
"""The environment variable: the lab's mark, the kind of process, and the node that it is for."""

TOOL_DEADLINE = 60.0
"""Seconds for a program of the system that takes a fraction of one: it may hang on a dead device."""

POLL = 0.02
"""Seconds between two looks at a condition."""

MASTER = WorkerName("master")
"""In the mark of the master, which is of no node."""


class Kind(enum.StrEnum):
    """What a process of a lab is."""

    DAEMON = "daemon"
    INITIATOR = "initiator"
    TARGET = "target"
    KEEPER = "keeper"
    TOOL = "tool"


def environment(mark: str, kind: Kind, node: WorkerName) -> dict[str, str]:
    """The environment of a process of the lab. No configuration of the user's counts in it."""
    kept = {name: value for name, value in os.environ.items() if name != "BLFS_MR_CONFIG"}
    return kept | {MARK: f"{mark}:{kind.value}:{node}", "LC_ALL": "C.UTF-8"}


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    deadline: float = TOOL_DEADLINE,
) -> str:
    """Run a program to its end and return what it printed.

    Raises VolumeError with what it said when it fails or takes too long, UsageError where it is missing.
    """
    shown = " ".join(command)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise UsageError(f"{command[0]} is not installed, and the lab needs it") from error
    try:
        stdout, stderr = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired as error:
        # Not waited for: one that hangs on a dead device ends only when the device does.
        process.kill()
        raise VolumeError(f"`{shown}` did not end within {deadline:g} s") from error
    if process.returncode != 0:
        said = " ".join((stderr or stdout).split()) or f"exit code {process.returncode}"
        raise VolumeError(f"`{shown}` failed: {said}")
    return stdout.strip()


def start(command: Sequence[str], log: Path, *, env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    """Start a program that outlives this one; what it says goes to ``log``. Raises UsageError, OSError."""
    with log.open("ab") as said:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise UsageError(f"{command[0]} is not installed, and the lab needs it") from error
    # The environment is the last thing that the kernel sets up: until then nobody would find the process.
    mark = f"{MARK}={env[MARK]}\0".encode()
    wait_until(lambda: _carries(process.pid, mark) or process.poll() is not None, TOOL_DEADLINE)
    return process


def marked(mark: str, kind: Kind, node: WorkerName | None = None) -> Iterator[int]:
    """The living processes of that kind, of one ``node`` or of all. A zombie has no environment any more."""
    wanted = _needle(mark, kind, node)
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _carries(int(entry), wanted):
            yield int(entry)


def signal_marked(number: int, mark: str, kind: Kind, node: WorkerName | None = None) -> None:
    """Send a signal to the processes that :func:`marked` finds."""
    for pid in marked(mark, kind, node):
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                # Looked at again with the handle open: the number may have passed on meanwhile.
                if _carries(pid, _needle(mark, kind, node)):
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def stop(mark: str, kind: Kind, patience: float) -> bool:
    """End all processes of that kind, by force after ``patience`` seconds; whether all are gone.

    One that hangs in the kernel, on a dead device, outlives even force until its device is gone.
    """
    signal_marked(signal.SIGTERM, mark, kind)
    if wait_until(lambda: not any(marked(mark, kind)), patience):
        return True
    signal_marked(signal.SIGKILL, mark, kind)
    return wait_until(lambda: not any(marked(mark, kind)), patience)


def wait_until(condition: Callable[[], bool], deadline: float) -> bool:
    """Look until ``condition`` holds, for ``deadline`` seconds at most; whether it does."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL)
    return True


def _needle(mark: str, kind: Kind, node: WorkerName | None) -> bytes:
    everything = f"{MARK}={mark}:{kind.value}:"
    return (everything if node is None else f"{everything}{node}\0").encode()


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0" + wanted in b"\0" + file.read() + b"\0"
    except OSError:
        return False
