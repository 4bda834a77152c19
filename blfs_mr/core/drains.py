"""The book of drains: which worker copies what of which map output to its scratch, and when all have it.

When only published map outputs hold shared files, every unfinished reduce task is given a home, and every
home copies what its reduce tasks need. A drained output needs its shared files no more. It is as safe as the
homes are: losing one costs the maps whose files were given away for its copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from blfs_mr.model import AttemptId, MapOutput, WorkerName

Wanted = list[tuple[WorkerName, tuple[int, ...]]]
"""Workers, and the partitions of an output that each of them has to copy."""


@dataclass(slots=True)
class _Drain:
    """One map output that is copied, or was.

    ``awaited`` counts the answers that each worker owes. One may be asked again while it is busy still, and
    an answer does not say which of the two requests it is for: it has everything when it owes none. A drain
    is ``stalled`` while nobody is there to make copies.
    """

    output: MapOutput
    copies: dict[WorkerName, set[int]] = field(default_factory=dict)
    awaited: Counter[WorkerName] = field(default_factory=Counter)
    failures: int = 0
    complete: bool = False
    stalled: bool = False


class Drains:
    """The drains of one job."""

    def __init__(self) -> None:
        self._drains: dict[AttemptId, _Drain] = {}

    def __contains__(self, output: AttemptId) -> bool:
        """Whether ``output`` is being drained, or was."""
        drain = self._drains.get(output)
        return drain is not None and not drain.stalled

    def start(self, output: MapOutput, homes: Mapping[WorkerName, Set[int]]) -> Wanted:
        """Have every home copy ``output``, as far as it does not already; returns what is to be asked for."""
        drain = self._drains.setdefault(output.attempt, _Drain(output))
        drain.stalled = False
        wanted: Wanted = []
        for worker, partitions in sorted(homes.items()):
            copies = drain.copies.setdefault(worker, set())
            missing = partitions - copies
            if missing:
                copies |= missing
                drain.awaited[worker] += 1
                wanted.append((worker, tuple(sorted(missing))))
        return wanted

    def answered(self, output: AttemptId, worker: WorkerName) -> bool:
        """``worker`` has answered a request; False if it owed none, as the output was replaced."""
        drain = self._drains.get(output)
        if drain is None or not drain.awaited[worker]:
            return False
        drain.awaited[worker] -= 1
        return True

    def retry(self, output: AttemptId, worker: WorkerName, most: int) -> tuple[int, ...]:
        """After a failure: what ``worker`` is to be asked for again; nothing at the ``most``-th failure."""
        drain = self._drains[output]
        drain.failures += 1
        if drain.failures >= most:
            return ()
        drain.awaited[worker] += 1
        return tuple(sorted(drain.copies[worker]))

    def completed(self, output: AttemptId) -> bool:
        """Whether every home has its copy, said once: the shared files are to be given away for it."""
        drain = self._drains[output]
        if drain.complete or drain.stalled or drain.awaited.total():
            return False
        drain.complete = True
        return True

    def under_way(self, output: AttemptId) -> bool:
        """Whether copies of ``output`` are being made."""
        drain = self._drains.get(output)
        return drain is not None and not drain.complete and not drain.stalled

    def stall(self, output: AttemptId) -> None:
        """Nobody is there to copy ``output``. What was asked for may still be answered."""
        if output in self._drains:
            self._drains[output].stalled = True

    def forget(self, output: AttemptId) -> None:
        """``output`` was lost."""
        self._drains.pop(output, None)

    def wants(self, output: AttemptId, worker: WorkerName) -> bool:
        """Whether ``worker`` is to have a copy of ``output``."""
        drain = self._drains.get(output)
        return drain is not None and worker in drain.copies

    def lose(
        self, worker: WorkerName, unfinished: Set[int], answers: bool
    ) -> tuple[list[MapOutput], list[MapOutput]]:
        """The copies of ``worker`` count no more; ``unfinished`` are the partitions that have no result yet.

        ``answers`` says whether it is there to answer what it was asked for.

        Returns the outputs of which nothing else is left for some of these, which are forgotten, and those
        that have to be started again, with the homes as they are then.
        """
        lost: list[MapOutput] = []
        again: list[MapOutput] = []
        for drain in list(self._drains.values()):
            copies = drain.copies.pop(worker, set())
            if not answers:
                del drain.awaited[worker]
            if not drain.complete:
                again.append(drain.output)
            elif copies & unfinished:
                lost.append(drain.output)
                self.forget(drain.output.attempt)
        return lost, again
