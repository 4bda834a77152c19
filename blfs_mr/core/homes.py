"""Homes: the one worker that each unfinished reduce task must run on once map outputs were drained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from blfs_mr.core.placement import PendingTasks
from blfs_mr.core.states import TaskState
from blfs_mr.core.task import TaskMachine
from blfs_mr.model import WorkerName


class Homes:
    """The homes of a job's reduce tasks. A task has none before the first drain, or if its worker is lost."""

    def __init__(
        self,
        reduces: Sequence[TaskMachine],
        pending: PendingTasks,
        able: Callable[[], Collection[WorkerName]],
    ) -> None:
        """``pending`` are those of ``reduces`` that wait for a slot, both ever current; ``able`` gives the
        workers that reduce tasks can go to now."""
        self._reduces, self._pending, self._able = reduces, pending, able

    def settle(self) -> dict[WorkerName, set[int]]:
        """Every unfinished task gets a home: where it runs, else where the fewest are.

        Returns the partitions by home; nothing while no worker is able.
        """
        homes: dict[WorkerName, set[int]] = {}
        homeless: list[TaskMachine] = []
        for task in self._unfinished():
            running = task.active_attempts()
            if running:
                task.home = running[0].worker
            if task.home is None:
                homeless.append(task)
            else:
                homes.setdefault(task.home, set()).add(task.id.index)
        placed = Counter({worker: len(homes.get(worker, ())) for worker in self._able()})
        if not placed:
            return {}
        for task in homeless:
            home = min(placed, key=lambda worker: (placed[worker], worker))
            placed[home] += 1
            homes.setdefault(home, set()).add(task.id.index)
            self._move(task, home)
        return homes

    def vacate(self, worker: WorkerName) -> frozenset[int]:
        """``worker`` is nobody's home any more; returns all partitions that have no result yet."""
        unfinished = self._unfinished()
        for task in unfinished:
            if task.home == worker:
                self._move(task, None)
        return frozenset(task.id.index for task in unfinished)

    def _unfinished(self) -> list[TaskMachine]:
        return [task for task in self._reduces if task.state is not TaskState.SUCCEEDED]

    def _move(self, task: TaskMachine, home: WorkerName | None) -> None:
        pending = task.state is TaskState.PENDING
        if pending:
            self._pending.remove(task)
        task.home = home
        if pending:
            self._pending.add(task)
