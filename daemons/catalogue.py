"""Where the map outputs of one job are, as one worker knows it: on volumes, or drained to its own scratch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from blfs_mr.model import AttemptId, MapOutput, VolumeAccess, VolumeId

MOST_AT_ONCE = 1000
"""Map outputs that one message names, at some 400 bytes each; a reducer asks again for the others."""


@dataclass(slots=True)
class Catalogue:
    """The newest output of each map task, by the task's index, and how this host reaches volumes.

    ``_copies`` are the drained copies of these, by index and partition; one is drained again when this
    worker becomes the home of further reduce tasks.
    """

    _published: dict[int, MapOutput] = field(default_factory=dict)
    _copies: dict[int, dict[int, MapOutput]] = field(default_factory=dict)
    _volumes: dict[VolumeId, VolumeAccess] = field(default_factory=dict)

    def publish(self, output: MapOutput, volume: VolumeAccess | None) -> None:
        """A map task's output is here now; ``volume`` is how this host reaches it, None if it cannot."""
        if self.published(output.attempt) is None:
            self._copies.pop(output.attempt.task.index, None)
        self._published[output.attempt.task.index] = output
        if volume is not None:
            self._volumes[volume.volume] = volume

    def published(self, attempt: AttemptId) -> MapOutput | None:
        """The output of that very attempt as it was published, None if there is a newer one, or none."""
        output = self._published.get(attempt.task.index)
        return output if output is not None and output.attempt == attempt else None

    def locate(self, attempt: AttemptId, partition: int) -> MapOutput | None:
        """Where a reducer of ``partition`` reads the output of that attempt; None if it was replaced."""
        published = self.published(attempt)
        if published is None:
            return None
        return self._copies.get(attempt.task.index, {}).get(partition, published)

    def drained(self, output: MapOutput, partitions: Collection[int], scratch: VolumeAccess) -> None:
        """``partitions`` of a map output lie on scratch too, as ``output`` says, unless it was replaced."""
        if self.published(output.attempt) is not None:
            copies = self._copies.setdefault(output.attempt.task.index, {})
            copies.update(dict.fromkeys(partitions, output))
            self._volumes[scratch.volume] = scratch

    def new_to(
        self, partition: int, given: Collection[AttemptId]
    ) -> tuple[tuple[MapOutput, ...], tuple[VolumeAccess, ...]]:
        """Outputs for a reducer of ``partition`` that was given others already, and how to reach them.

        A drained copy holds some partitions only. For any other one the original is named, although its
        shared files may be leased anew by now: the reader's checks then find that out, by design.
        """
        new: list[MapOutput] = []
        for published in self._published.values():
            if published.attempt not in given:
                new.append(self.locate(published.attempt, partition) or published)
            if len(new) == MOST_AT_ONCE:
                break
        return tuple(new), self.volumes_of(new)

    def volumes_of(self, outputs: Collection[MapOutput]) -> tuple[VolumeAccess, ...]:
        """How to reach the volumes that ``outputs`` lie on, as far as this host can."""
        needed = {file.lease.shared_file.volume for output in outputs for file in output.files}
        return tuple(self._volumes[volume] for volume in sorted(needed) if volume in self._volumes)
