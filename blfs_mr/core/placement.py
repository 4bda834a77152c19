"""Which pending task goes to which worker.

A map task goes to a worker that holds its split; where all can read the input, to any. A reduce task
goes to the worker with the fewest assigned tasks. A task that failed somewhere is tried elsewhere first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from blfs_mr.core.task import TaskMachine
from blfs_mr.model import WorkerName

Tiers = Sequence[Collection[WorkerName]]
"""The workers that may run tasks of a kind, in the order of preference: those of a later tier run a task that
nobody of an earlier one can."""

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

    def next_for(self, worker: WorkerName, tiers: Tiers) -> TaskMachine | None:
        """The oldest task for ``worker``: of those whose input only some hold first, then of the others."""
        for queue in (self._by_holder.get(worker), self._anywhere):
            for task in (queue or {}).values():
                if worker in _tier_of(task, tiers) and not should_avoid(task, worker, tiers):
                    return task
        return None

    def _queues(self, task: TaskMachine) -> list[Queue]:
        if not task.holders:
            return [self._anywhere]
        return [self._by_holder.setdefault(holder, OrderedDict()) for holder in task.holders]


def candidates(task: TaskMachine, tiers: Tiers) -> set[WorkerName]:
    """The workers that ``task`` may go to."""
    tier = _tier_of(task, tiers)
    return {worker for worker in task.holders if worker in tier} if task.holders else set(tier)


def is_stranded(task: TaskMachine, tiers: Tiers) -> bool:
    """Whether there is no worker that ``task`` may go to. Asked of every pending task: nothing is built."""
    return not _tier_of(task, tiers)


def should_avoid(task: TaskMachine, worker: WorkerName, tiers: Tiers) -> bool:
    """Whether ``task`` failed on ``worker`` while there is one to go to that it has not failed on."""
    return worker in task.failed_on and bool(candidates(task, tiers) - task.failed_on)


def _tier_of(task: TaskMachine, tiers: Tiers) -> Collection[WorkerName]:
    """The first tier with a worker that can run ``task``; nobody, where none has any."""
    holders = task.holders
    for tier in tiers:
        if any(worker in tier for worker in holders) if holders else tier:
            return tier
    return ()
