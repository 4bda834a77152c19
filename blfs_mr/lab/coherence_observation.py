"""What an experiment is, and what it has shown."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from blfs_mr.lab.coherence_disk import DevicePair


@contextmanager
def host_caches() -> Iterator[None]:
    """This host's caches for oneself: nobody who asks for them likewise drops them meanwhile.

    The lock is that of the file by which they are dropped, which needs root. Waits for others.
    """
    fd = os.open("/proc/sys/vm/drop_caches", os.O_WRONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class Observation:
    """What was done, what the peer saw, what the documentation says that it sees, and the seconds it took."""

    name: str
    did: str
    saw: str
    expected: str
    as_expected: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """``deed`` returns what was seen, and whether that is what is ``expected``.

    With ``peer_writes`` it shows nothing where the disk itself refuses the peer's writes.
    """

    name: str
    did: str
    expected: str
    deed: Callable[[DevicePair], tuple[str, bool]]
    peer_writes: bool = False

    def run(self, devices: DevicePair) -> Observation:
        """Do it once. Raises VolumeError or OSError where it cannot be done."""
        with host_caches():
            start = time.perf_counter()
            saw, as_expected = self.deed(devices)
            seconds = time.perf_counter() - start
        return Observation(self.name, self.did, saw, self.expected, as_expected, seconds)
