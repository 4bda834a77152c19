"""Which workers may map and which may reduce, so that every reducer can read what every mapper wrote.

A reduce task needs the volumes of all map outputs of its job, so it goes only where all of these can be read.
A map task adds a volume to them: it goes only where some worker is left that can read them all.

That alone would let the first map on a volume that nobody else can read draw its whole job there. So maps go,
where they can, to volumes that most workers agree on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from blfs_mr.core.blame import Blame
from blfs_mr.core.reach import Reach
from blfs_mr.model import WorkerName

Workers = Collection[WorkerName]
Gaps = Mapping[WorkerName, Mapping[WorkerName, str]]
"""Readers, whose volumes they cannot read, and why."""


class Eligible:
    """The workers that are alive, less those that cannot read or are not to be used."""

    def __init__(self, alive: Workers, reach: Reach, blame: Blame) -> None:
        """All three are ever current."""
        self.alive, self._reach, self._blame = alive, reach, blame
        self._agreed: tuple[tuple[int, int], tuple[Workers, Workers]] | None = None

    @property
    def all_are(self) -> bool:
        """Whether everybody reads everything, and nobody is to blame."""
        return not (self._reach.gaps or self._blame.readers or self._blame.volumes)

    @property
    def version(self) -> tuple[int, int]:
        """What is said here holds until this changes, or what was asked about."""
        return self._reach.version, self._blame.version

    def reducers(self, used: Workers) -> tuple[Workers, ...]:
        """The workers that can read all volumes of ``used``; those that are to blame come last."""
        if self.all_are:
            return (self.alive,)
        able = {worker for worker in self.alive if self._reads(worker, used)}
        return able - self._blame.readers.keys(), able

    def mappers(self, used: Workers, reducing: Workers) -> tuple[Workers, ...]:
        """The workers whose volumes may be used beside ``used``, the best ones first.

        Better are those whose volumes the workers ``reducing`` read, and of these the ones that are agreed
        on.
        """
        if self.all_are:
            return (self.alive,)
        readers = self._first(self.reducers(used))
        able = {
            owner
            for owner in self.alive
            if owner not in self._blame.volumes
            and any(not self._reach.problem(reader, owner) for reader in readers)
        }
        better = able - self.unread_by(reducing)
        return better & set(self.agreed()[1]), better, able

    def agreed(self) -> tuple[Workers, Workers]:
        """Readers, and owners of volumes that each of these can read: as many as there can well be."""
        if self.all_are:
            return self.alive, self.alive
        if self._agreed is None or self._agreed[0] != self.version:
            owners = set(self.alive) - self._blame.volumes.keys()
            self._agreed = self.version, agree(self._first(self.reducers(())), owners, self._reach.gaps)
        return self._agreed[1]

    def why_not(self, owner: WorkerName) -> str:
        """Why the volume of ``owner`` is not to be used; empty where that is not known."""
        if reason := self._blame.volumes.get(owner):
            return f"the volume of {owner} is quarantined: {reason}"
        problems = sorted((reader, told[owner]) for reader, told in self._reach.gaps.items() if owner in told)
        return "; ".join(f"{reader} cannot read the volume of {owner}: {told}" for reader, told in problems)

    def unread_by(self, readers: Workers) -> set[WorkerName]:
        """The owners of volumes that not all of ``readers`` can read."""
        gaps = self._reach.gaps
        return {owner for reader in readers if reader in gaps for owner in gaps[reader]}

    @staticmethod
    def _first(tiers: tuple[Workers, ...]) -> Workers:
        return next((tier for tier in tiers if tier), ())

    def _reads(self, reader: WorkerName, owners: Workers) -> bool:
        gaps = self._reach.gaps.get(reader)
        return gaps is None or not any(owner in gaps for owner in owners)


def agree(readers: Workers, owners: Workers, gaps: Gaps) -> tuple[Workers, Workers]:
    """Of ``readers`` and ``owners`` those that are left when each reader can read each owner's volume.

    One after the other is left out what stands in the way most: a reader with its volumes that it cannot
    read, or a volume with the readers that cannot read it. To find the best pair of sets would be to find a
    largest biclique, for which there is no quick way; what goes wrong in practice is one host or one volume.
    """
    left, volumes = set(readers), set(owners)
    while True:
        blind = {reader: volumes & gaps[reader].keys() for reader in left if reader in gaps}
        unread = Counter(owner for missed in blind.values() for owner in missed)
        if not unread:
            return left, volumes
        owner = max(unread, key=lambda name: (unread[name], name))
        reader = max(blind, key=lambda name: (len(blind[name]), name))
        # Either costs slots, for maps or for reduces. On a volume there may be data already.
        if len(left) == 1 or unread[owner] > len(blind[reader]):
            volumes.remove(owner)
        else:
            left.remove(reader)
