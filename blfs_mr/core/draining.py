"""Draining the map outputs of one job: from a pool that is short to shared files that are free again.

``drains`` keeps the book of copies, ``homes`` says where they go; here the two meet, and commands come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.core.drains import Drains
from blfs_mr.core.homes import Homes
from blfs_mr.core.map_outputs import MapOutputs
from blfs_mr.model import AttemptId, MapOutput, WorkerName


class Draining:
    """Has the homes of reduce tasks copy map outputs, and gives their shared files away when all have."""

    def __init__(
        self,
        outputs: MapOutputs,
        homes: Homes,
        let_read: Callable[[WorkerName], list[c.Command]],
        release: Callable[[Iterable[MapOutput]], list[c.Command]],
    ) -> None:
        """``let_read`` has a worker know where map outputs are, ``release`` tells owners of free files."""
        self._outputs, self._homes = outputs, homes
        self._let_read, self._release = let_read, release
        self._drains = Drains()

    @property
    def under_way(self) -> bool:
        """Whether copies are being made."""
        return any(self._drains.under_way(output.attempt) for output in self._outputs.current.values())

    def drain(self, owner: WorkerName) -> list[c.Command]:
        """Drain what lies on ``owner``'s volume and is not drained yet."""
        return self.start([o for o in self._outputs.on(owner) if o.attempt not in self._drains])

    def copied(self, event: e.MapOutputDrained) -> list[c.Command]:
        """A worker has a copy that it was asked for."""
        if not self._drains.answered(event.output, event.worker):
            return []
        return self._give_away_if_complete(self._outputs.current[event.output.task.index])

    def failed(self, event: e.DrainFailed) -> bool:
        """A worker could not make a copy; False if nobody wants it any more."""
        answered = self._drains.answered(event.output, event.worker)
        return answered and self._drains.wants(event.output, event.worker)

    def do_without(self, output: AttemptId) -> list[c.Command]:
        """A copy that nobody wants any more could not be made: it may have been the last one awaited."""
        if output not in self._drains:
            return []
        return self._give_away_if_complete(self._outputs.current[output.task.index])

    def retry(self, event: e.DrainFailed, most: int) -> list[c.Command]:
        """Have the worker try again; nothing when that was the ``most``-th failure."""
        again = self._drains.retry(event.output, event.worker, most)
        return [c.DrainMapOutput(event.worker, event.output, again)] if again else []

    def forget(self, output: AttemptId) -> None:
        """``output`` is to be made again."""
        self._drains.forget(output)

    def lose(self, worker: WorkerName, answers: bool) -> tuple[list[MapOutput], list[MapOutput]]:
        """The copies of ``worker`` count no more: the outputs lost so, and those to be started again.

        ``answers`` says whether it is there to answer what it was asked for.
        """
        return self._drains.lose(worker, self._homes.vacate(worker), answers)

    def start(self, outputs: Sequence[MapOutput]) -> list[c.Command]:
        """Have every home copy ``outputs``, as far as that is not under way."""
        if not outputs:
            return []
        homes = self._homes.settle()
        if not homes:
            # Nobody is there to copy anything. Should the pool still be short when somebody is, it says so.
            for output in outputs:
                self._drains.stall(output.attempt)
            return []
        commands = [command for worker in sorted(homes) for command in self._let_read(worker)]
        for output in outputs:
            wanted = self._drains.start(output, homes)
            commands += [c.DrainMapOutput(worker, output.attempt, p) for worker, p in wanted]
            commands += self._give_away_if_complete(output)
        return commands

    def _give_away_if_complete(self, output: MapOutput) -> list[c.Command]:
        if not self._drains.completed(output.attempt):
            return []
        self._outputs.give_away(output)
        return self._release([output])
