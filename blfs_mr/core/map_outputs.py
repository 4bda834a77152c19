"""The published map outputs of one job: which readers are to read, and which hold shared files.

An output is current from its publication until it is lost. A lost one keeps its shared files until its
replacement is there, since some reducers may read it well where another one cannot.
"""

from __future__ import annotations

from blfs_mr.model import AttemptId, MapOutput, WorkerName


class MapOutputs:
    """Map outputs by the index of their task, and by the worker whose volume they lie on."""

    def __init__(self) -> None:
        self.current: dict[int, MapOutput] = {}
        self._lost: dict[int, MapOutput] = {}
        # By the owner of the volume, as that is how they are asked for: of a thousand workers one is short.
        self._holding: dict[WorkerName, dict[AttemptId, MapOutput]] = {}
        self.version = 0

    def __len__(self) -> int:
        return len(self.current)

    def publish(self, output: MapOutput) -> MapOutput | None:
        """``output`` is what readers read from now on; returns what it replaces, if that has files."""
        self.version += 1
        index = output.attempt.task.index
        self.current[index] = output
        if output.files:
            self._holding.setdefault(output.worker, {})[output.attempt] = output
        replaced = self._lost.pop(index, None)
        if replaced is not None:
            self.give_away(replaced)
        return replaced

    def is_current(self, output: AttemptId) -> bool:
        """Whether ``output`` is what readers are to read of its map task now."""
        current = self.current.get(output.task.index)
        return current is not None and current.attempt == output

    def needs_files(self, output: AttemptId) -> bool:
        """Whether readers are to read ``output`` from its shared files; a drained one needs them no more."""
        current = self.current.get(output.task.index)
        return current is not None and current.attempt == output and self._is_held(current)

    def on(self, owner: WorkerName) -> list[MapOutput]:
        """The current outputs that hold shared files of ``owner``'s volume."""
        return [output for output in self._holding.get(owner, {}).values() if self.is_current(output.attempt)]

    def owners(self) -> set[WorkerName]:
        """Whose volumes hold current outputs."""
        return {owner for owner in self._holding if self.on(owner)}

    def occupy(self, owner: WorkerName) -> bool:
        """Whether any output, current or lost, holds shared files of ``owner``'s volume."""
        return bool(self._holding.get(owner))

    def files_needed(self, maps: int) -> tuple[int, int]:
        """The shared files that the outputs of so many maps would need at the same time, and their size.

        Reckoned from the current outputs, some of which has files.
        """
        files = [file for output in self.current.values() for file in output.files]
        return -(-len(files) * maps // len(self.current)), max(f.lease.shared_file.size for f in files)

    def lose(self, output: AttemptId) -> MapOutput:
        """The current ``output`` is to be made again."""
        self.version += 1
        lost = self.current.pop(output.task.index)
        if self._is_held(lost):
            self._lost[output.task.index] = lost
        return lost

    def give_away(self, output: MapOutput) -> None:
        """The shared files of ``output`` are free."""
        self.version += 1
        self._holding.get(output.worker, {}).pop(output.attempt, None)

    def give_away_lost(self, owner: WorkerName) -> list[MapOutput]:
        """Lost outputs keep no shared file of ``owner``'s volume any longer; returns those that had some."""
        freed = [output for output in self._lost.values() if output.worker == owner]
        for output in freed:
            del self._lost[output.attempt.task.index]
            self.give_away(output)
        return freed

    def _is_held(self, output: MapOutput) -> bool:
        return not output.files or output.attempt in self._holding.get(output.worker, {})
