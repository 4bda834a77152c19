"""Which pending task goes to which worker.

A map task goes to a worker that holds its split; where all can read the input, to any. A reduce task
goes to the worker with the fewest assigned tasks. A task that failed somewhere is tried elsewhere first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from blfs_mr.core.task import TaskMachine
from blfs_mr.model import WorkerName


@dataclass(slots=True)
class PendingTasks:
    """Tasks that wait for a worker, oldest first, found by the worker that may run them.

    Tasks that only some workers can run stand in a queue per such worker; the others in one for all. A
    dict is the queue: ordered, with removal from the middle in constant time.
    """

    _anywhere: dict[int, TaskMachine] = field(default_factory=dict)
    _by_holder: dict[WorkerName, dict[int, TaskMachine]] = field(default_factory=dict)
    _all: dict[int, TaskMachine] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[TaskMachine]:
        return iter(self._all.values())

    def add(self, task: TaskMachine) -> None:
        """Put ``task`` at the end of the queue."""
        self._all[task.id.index] = task
        for queue in self._queues(task):
            queue[task.id.index] = task

    def remove(self, task: TaskMachine) -> None:
        """Take ``task`` out, wherever it stands."""
        del self._all[task.id.index]
        for queue in self._queues(task):
            del queue[task.id.index]

    def next_for(self, worker: WorkerName, alive: Collection[WorkerName]) -> TaskMachine | None:
        """The oldest task for ``worker``: of those whose input only some hold first, then of the others."""
        for queue in (self._by_holder.get(worker), self._anywhere):
            for task in (queue or {}).values():
                if not should_avoid(task, worker, alive):
                    return task
        return None

    def _queues(self, task: TaskMachine) -> list[dict[int, TaskMachine]]:
        holders = task.split.holders if task.split else ()
        if not holders:
            return [self._anywhere]
        return [self._by_holder.setdefault(holder, {}) for holder in holders]


def candidates(task: TaskMachine, alive: Collection[WorkerName]) -> set[WorkerName]:
    """The live workers that could run ``task`` at all."""
    holders = task.split.holders if task.split else ()
    return {worker for worker in holders if worker in alive} if holders else set(alive)


def is_stranded(task: TaskMachine, alive: Collection[WorkerName]) -> bool:
    """Whether no live worker could run ``task``. Asked of every pending task, so nothing is built."""
    holders = task.split.holders if task.split else ()
    return not any(worker in alive for worker in holders) if holders else not alive


def should_avoid(task: TaskMachine, worker: WorkerName, alive: Collection[WorkerName]) -> bool:
    """Whether ``task`` failed on ``worker`` while there is a live worker it has not failed on."""
    return worker in task.failed_on and bool(candidates(task, alive) - task.failed_on)
