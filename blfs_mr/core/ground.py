"""Where the tasks of one job may go, by what its map outputs lie on and who can read that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from blfs_mr.core.eligible import Eligible
from blfs_mr.core.map_outputs import MapOutputs
from blfs_mr.core.placement import Tiers
from blfs_mr.core.task import TaskMachine
from blfs_mr.model import TaskKind, WorkerName


class Ground:
    """Follows the attempts of a job that hold slots, and its map outputs."""

    def __init__(self, eligible: Eligible, outputs: MapOutputs) -> None:
        """Both are ever current."""
        self._eligible, self._outputs = eligible, outputs
        self._running: dict[TaskKind, Counter[WorkerName]] = {kind: Counter() for kind in TaskKind}
        self._changes = 0
        self._tiers: dict[TaskKind, tuple[object, Tiers]] = {}

    @property
    def alive(self) -> Collection[WorkerName]:
        """The live workers."""
        return self._eligible.alive

    def count(self, kind: TaskKind, worker: WorkerName, more: int) -> None:
        """``more`` attempts of that kind hold slots of ``worker`` than before."""
        self._running[kind][worker] += more
        self._changes += 1

    def clear(self) -> None:
        """No attempt holds a slot any more."""
        for running in self._running.values():
            running.clear()
        self._changes += 1

    def tiers(self, kind: TaskKind) -> Tiers:
        """Who may run tasks of that kind now."""
        if self._eligible.all_are:
            return (self.alive,)
        # Asked for every worker with a free slot, and the same for all.
        key = (self._eligible.version, self._outputs.version, self._changes)
        if self._tiers.get(kind, (None,))[0] != key:
            if kind is TaskKind.REDUCE:
                tiers: Tiers = self._eligible.reducers(self.used())
            else:
                tiers = self._eligible.mappers(self.used(), set(+self._running[TaskKind.REDUCE]))
            self._tiers[kind] = key, tiers
        return self._tiers[kind][1]

    def reducers(self) -> Collection[WorkerName]:
        """The workers that reduce tasks go to now."""
        return next((tier for tier in self.tiers(TaskKind.REDUCE) if tier), ())

    def used(self) -> set[WorkerName]:
        """Whose volumes hold, or will hold, map outputs that reducers are to read."""
        return self._outputs.owners() | set(+self._running[TaskKind.MAP])

    def can_do_without(self, reader: WorkerName) -> bool:
        """Whether another worker than ``reader`` can read all volumes in use."""
        return bool(set(self.tiers(TaskKind.REDUCE)[0]) - {reader})

    def to_be_brought_together(self) -> tuple[set[WorkerName], Collection[WorkerName]]:
        """The owners in use whose volumes those who should reduce cannot read, and whose they all can."""
        readers, owners = self._eligible.agreed()
        return self._outputs.owners() & self._eligible.unread_by(readers), owners

    def why_stranded(self, task: TaskMachine, seconds: float) -> str:
        """Why ``task`` could go to no worker for so long."""
        within = f"within {seconds:g} s"
        holders = task.holders
        if not any(worker in self.alive for worker in holders or self.alive):
            if task.split is None or not holders:
                return f"no worker is left; none came {within}"
            held = f"no worker holds the input of {task.id}, {task.split.path}"
            return f"{held}: {', '.join(holders)} did not come back {within}"
        if task.split is None:
            wanted, owners = "could read all map outputs", self.used()
        else:
            wanted, owners = "had a volume that reducers can read", self.used().union(holders or self.alive)
        told = "; ".join(filter(None, map(self._eligible.why_not, sorted(owners))))
        return f"no worker that {task.id} may go to {wanted} {within}: {told}"
