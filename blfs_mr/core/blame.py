"""Who is to blame when a map output cannot be read: the reader's host, the volume, or that one output.

One failed read alone says nothing of that, but failures together do. A reader that cannot read several
volumes is itself to blame, unless another one cannot read the very same: then the volumes are. A volume that
several readers cannot read is to blame. What is left is the matter of one output.

Failures, and what follows from them, are forgotten after a while: networks and disks are mended.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from blfs_mr.model import WorkerName
from blfs_mr.values import dataclass

REMEMBERED = 60.0
"""Seconds for which a failure counts beside others: a reader finds out about all volumes sooner than that."""

LASTS = 60.0
"""Seconds for which a reader is given no reduce tasks, or a volume no map tasks. If nothing has been mended
by then, it costs an attempt to find that out again."""


class Verdict(enum.StrEnum):
    """What to do about a failed read."""

    OUTPUT = "run that map again elsewhere"
    READER = "move the reduce tasks of that worker"
    VOLUME = "write nothing there, and run its maps again elsewhere"


VERDICTS: Mapping[tuple[bool, bool], Verdict] = {
    # Does the reader fail at several volumes? Do others fail at this one (at all of those, if at several)?
    (False, False): Verdict.OUTPUT,
    (False, True): Verdict.VOLUME,
    (True, False): Verdict.READER,
    (True, True): Verdict.VOLUME,
}


@dataclass(frozen=True, slots=True)
class _Term:
    reason: str
    ends: float


class Blame:
    """The failures of late, the readers to blame, and the volumes in quarantine, by their owners."""

    def __init__(self) -> None:
        self._failures: dict[WorkerName, dict[WorkerName, float]] = {}
        self._readers: dict[WorkerName, _Term] = {}
        self._volumes: dict[WorkerName, _Term] = {}
        self.version = 0

    @property
    def readers(self) -> Mapping[WorkerName, str]:
        """The workers that get no reduce tasks, and why."""
        return {worker: term.reason for worker, term in self._readers.items()}

    @property
    def volumes(self) -> Mapping[WorkerName, str]:
        """The owners of volumes in quarantine, and why."""
        return {owner: term.reason for owner, term in self._volumes.items()}

    def failed(self, reader: WorkerName, owner: WorkerName, why: str, now: float) -> Verdict:
        """``reader`` could not read something on the volume of ``owner``."""
        at = self._failures.setdefault(reader, {})
        at[owner] = now
        several = len(at) > 1
        others = [
            other
            for other, volumes in self._failures.items()
            if other != reader and (at.keys() <= volumes.keys() if several else self._counts(other, owner))
        ]
        verdict = VERDICTS[several, bool(others)]
        if verdict is Verdict.READER:
            names = ", ".join(sorted(at))
            reason = f"it cannot read the volumes of {names}, and others can; the last time: {why}"
            self._set(self._readers, reader, reason, now)
        elif verdict is Verdict.VOLUME:
            readers = ", ".join(sorted([reader, *others]))
            for volume in list(at):
                reason = f"it cannot be read by {readers}; the last time: {why}"
                self._set(self._volumes, volume, reason, now)
                self._explain(volume)
        return verdict

    def joined(self, worker: WorkerName) -> None:
        """A new incarnation of a reader has failed at nothing yet."""
        self._failures.pop(worker, None)
        if self._readers.pop(worker, None):
            self.version += 1

    def pass_time(self, now: float) -> None:
        """Forget what is long ago."""
        for reader, volumes in list(self._failures.items()):
            kept = {owner: at for owner, at in volumes.items() if now - at < REMEMBERED}
            self._failures[reader] = kept
            if not kept:
                del self._failures[reader]
        for terms in (self._readers, self._volumes):
            for name in [name for name, term in terms.items() if now >= term.ends]:
                del terms[name]
                self.version += 1

    def _counts(self, other: WorkerName, owner: WorkerName) -> bool:
        """Whether ``other`` fails at the volume of ``owner``, and is not to blame for that itself."""
        return other not in self._readers and owner in self._failures[other]

    def _set(self, terms: dict[WorkerName, _Term], name: WorkerName, reason: str, now: float) -> None:
        terms[name] = _Term(reason, now + LASTS)
        self.version += 1

    def _explain(self, owner: WorkerName) -> None:
        """Failures at a volume that is to blame count against no reader any more."""
        for reader, volumes in list(self._failures.items()):
            volumes.pop(owner, None)
            if not volumes:
                del self._failures[reader]
                self._readers.pop(reader, None)
