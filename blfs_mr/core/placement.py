"""Which pending task goes to which worker.

A map task goes to a worker that holds its split; where all can read the input, to any. A reduce task
goes to the worker with the fewest assigned tasks. A task that failed somewhere is tried elsewhere first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from blfs_mr.core.task import TaskMachine
from blfs_mr.model import WorkerName

Queue = OrderedDict[int, TaskMachine]
"""Tasks by index; in order, with removal from the middle and insertion at the front in constant time."""


@dataclass(slots=True)
class PendingTasks:
    """Tasks that wait for a worker, oldest first, found by the worker that may run them.

    A task that was tried before goes first: one that cannot succeed should end the job while it has cost
    little, and reduces wait for maps that are run again. Tasks that only some workers can run stand in a
    queue per such worker; the others in one for all.
    """

    _anywhere: Queue = field(default_factory=OrderedDict)
    _by_holder: dict[WorkerName, Queue] = field(default_factory=dict)
    _all: Queue = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[TaskMachine]:
        return iter(self._all.values())

    def add(self, task: TaskMachine) -> None:
        """Put ``task`` at the end of the queue, or to its front if it was tried before."""
        for queue in (self._all, *self._queues(task)):
            queue[task.id.index] = task
            if task.attempts:
                queue.move_to_end(task.id.index, last=False)

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

    def _queues(self, task: TaskMachine) -> list[Queue]:
        if not task.holders:
            return [self._anywhere]
        return [self._by_holder.setdefault(holder, OrderedDict()) for holder in task.holders]


def candidates(task: TaskMachine, alive: Collection[WorkerName]) -> set[WorkerName]:
    """The live workers that could run ``task`` at all."""
    holders = task.holders
    return {worker for worker in holders if worker in alive} if holders else set(alive)


def is_stranded(task: TaskMachine, alive: Collection[WorkerName]) -> bool:
    """Whether no live worker could run ``task``. Asked of every pending task, so nothing is built."""
    holders = task.holders
    return not any(worker in alive for worker in holders) if holders else not alive


def should_avoid(task: TaskMachine, worker: WorkerName, alive: Collection[WorkerName]) -> bool:
    """Whether ``task`` failed on ``worker`` while there is a live worker it has not failed on."""
    return worker in task.failed_on and bool(candidates(task, alive) - task.failed_on)
