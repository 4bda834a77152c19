"""Who can read whose volume, by what the workers have told.

A worker tells which peers' volumes it can read when it registers, and whenever it sees something else. A
volume of its own host that it was not given as a peer's it reads as the owner does; one of another host that
it was not given it cannot read at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from blfs_mr.model import SeenVolume, VolumeId, WorkerName
from blfs_mr.values import dataclass


@dataclass(frozen=True, slots=True)
class _Told:
    """What a worker said of itself and of its peers' volumes."""

    host: str
    volume: VolumeId
    peers: Mapping[WorkerName, SeenVolume]


class Reach:
    """What workers can read. Of one that is gone its volume is remembered: peers may read it still."""

    def __init__(self) -> None:
        self._told: dict[WorkerName, _Told] = {}
        self._present: set[WorkerName] = set()
        self._gaps: dict[WorkerName, dict[WorkerName, str]] = {}
        self.version = 0

    @property
    def gaps(self) -> Mapping[WorkerName, Mapping[WorkerName, str]]:
        """The present workers that cannot read everything: whose volumes they cannot, and why."""
        return self._gaps

    def lookers(self) -> list[WorkerName]:
        """The present workers that look at volumes of peers."""
        return sorted(worker for worker in self._present if self._told[worker].peers)

    def joined(self, worker: WorkerName, host: str, volume: VolumeId, peers: Iterable[SeenVolume]) -> None:
        """A worker has registered."""
        self.version += 1
        self._told[worker] = _Told(host, volume, {seen.owner: seen for seen in peers})
        self._present.add(worker)
        self._look(self._present, [worker])
        self._look([worker], self._told)

    def left(self, worker: WorkerName) -> None:
        """A worker is gone; its volume may not be."""
        self.version += 1
        self._present.discard(worker)
        self._gaps.pop(worker, None)

    def seen(self, worker: WorkerName, peers: Iterable[SeenVolume]) -> None:
        """A worker has looked at its peers' volumes again. Nothing, when it is not present."""
        if worker in self._present:
            before = self._told[worker]
            self.joined(worker, before.host, before.volume, peers)

    def problem(self, reader: WorkerName, owner: WorkerName) -> str:
        """Why the present worker ``reader`` cannot read the volume of ``owner``; empty when it can."""
        return self._gaps.get(reader, {}).get(owner, "")

    def _look(self, readers: Iterable[WorkerName], owners: Iterable[WorkerName]) -> None:
        owners = list(owners)
        for reader in readers:
            gaps = self._gaps.setdefault(reader, {})
            for owner in owners:
                gaps.pop(owner, None)
                if problem := self._problem(reader, owner):
                    gaps[owner] = problem
            if not gaps:
                del self._gaps[reader]

    def _problem(self, reader: WorkerName, owner: WorkerName) -> str:
        told, owned = self._told[reader], self._told[owner]
        seen = told.peers.get(owner)
        if reader == owner:
            return ""
        if seen is None:
            if told.host == owned.host:
                return ""
            return f"{owner} is on another host, and is not among the worker.peers of {reader}"
        if seen.problem or seen.volume == owned.volume:
            return seen.problem
        return f"the volume there is {seen.volume}, and that of {owner} is {owned.volume}"
