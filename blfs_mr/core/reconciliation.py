"""The proof that reduces consumed what maps wrote: one published attempt of every map, every record."""

from __future__ import annotations

from collections import Counter

from blfs_mr.model import AttemptId, MapOutput

Consumed = tuple[tuple[AttemptId, int], ...]
"""Map attempts that a reduce attempt has read, and the records it took of each."""


class Reconciliation:
    """The records of one job, written and consumed. Whatever it finds wrong fails the job."""

    def __init__(self, maps: int) -> None:
        self._maps = maps
        self._written: dict[AttemptId, int] = {}
        self._consumed = Counter[AttemptId]()

    def publish(self, output: MapOutput) -> None:
        """Readers may read ``output``."""
        self._written[output.attempt] = sum(file.records for file in output.files)

    def what_is_wrong(self, reader: AttemptId, consumed: Consumed) -> str:
        """What is wrong with what ``reader`` says that it read; empty when nothing is."""
        times = Counter(output.task.index for output, _ in consumed)
        wrong = [index for index in range(self._maps) if times[index] != 1]
        if wrong:
            return f"{reader} consumed map-{wrong[0]:05d} {times[wrong[0]]} times, not once"
        unknown = [output for output, _ in consumed if output not in self._written]
        return f"{reader} consumed {unknown[0]}, which was never published" if unknown else ""

    def commit(self, consumed: Consumed) -> None:
        """A reduce attempt that read this much is the one whose result counts."""
        for output, records in consumed:
            self._consumed[output] += records

    def records_lost(self) -> str:
        """A map output that the reduces together did not consume exactly; empty when there is none.

        Of an output that was replaced some reduces read the one, some the other. Neither was consumed whole
        then, and there is no common figure, as a map need not yield the same twice.
        """
        attempts_read = Counter(output.task.index for output in self._consumed)
        for output, read in sorted(self._consumed.items()):
            written = self._written[output]
            if read > written or (read < written and attempts_read[output.task.index] == 1):
                return f"{output} wrote {written} records, the reduces consumed {read} of them"
        return ""
