"""What an experiment is, and what it has shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from blfs_mr.lab.coherence_disk import DevicePair


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
        start = time.perf_counter()
        saw, as_expected = self.deed(devices)
        seconds = time.perf_counter() - start
        return Observation(self.name, self.did, saw, self.expected, as_expected, seconds)
