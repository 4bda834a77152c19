"""The pool of shared files of one volume: who holds which, who waits, and who has to give way.

The pool is a budget and cannot deadlock. The oldest map attempt on the volume gets the next free file.
When every attempt that holds files waits for one more, the youngest of them gives its files back and is
run again later. When only published map outputs stand in the way, the pool is short, and says so: they
must be drained. When nothing is in the way, the attempt can never fit.

A file is free only when its attempt is over and reaped (``release``), or never was leased: until then a
process may still hold a descriptor of it. The owner of the volume sees to that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from blfs_mr.model import AttemptId, Lease, SharedFile
from blfs_mr.values import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """The attempt has one more shared file."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Requeue:
    """Kill the attempt, reap it, release it: others need its files. It is to blame for nothing."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class Short:
    """Nothing moves until published map outputs are released."""

    waiting: int


@dataclass(frozen=True, slots=True)
class Deny:
    """The attempt needs more files than the volume has: ``held`` is all of them."""

    attempt: AttemptId
    held: int


Decision = Grant | Requeue | Short | Deny


@dataclass(slots=True)
class _Holding:
    """What one attempt has. ``order`` counts attempts by their first request."""

    order: int
    leases: list[Lease] = field(default_factory=list)
    published: bool = False
    waiting: bool = False
    giving_way: bool = False


class LeasePool:
    """Grants shared files to attempts. Every method returns what is to be done, in order."""

    def __init__(self, files: Sequence[SharedFile], generations: Mapping[SharedFile, int]) -> None:
        """``generations`` holds the last generation of each file that was ever leased."""
        self._free = dict.fromkeys(files)
        self._generations = dict(generations)
        self._holdings: dict[AttemptId, _Holding] = {}
        self._size = len(files)
        self._next_order = 0

    @property
    def free(self) -> int:
        """How many shared files nobody holds."""
        return len(self._free)

    def leases(self, attempt: AttemptId) -> tuple[Lease, ...]:
        """What ``attempt`` holds."""
        holding = self._holdings.get(attempt)
        return tuple(holding.leases) if holding else ()

    def restore(self, leases: Iterable[Lease]) -> None:
        """Take up published leases again that an earlier incarnation of the volume's owner granted."""
        for lease in leases:
            del self._free[lease.shared_file]
            self._hold(lease.attempt).leases.append(lease)
            self._holdings[lease.attempt].published = True

    def request(self, attempt: AttemptId) -> list[Decision]:
        """``attempt`` needs one more shared file."""
        self._hold(attempt).waiting = True
        return self._decide()

    def publish(self, attempt: AttemptId) -> list[Decision]:
        """What ``attempt`` wrote is published: readers hold on to it."""
        holding = self._hold(attempt)
        holding.published, holding.waiting = True, False
        return self._decide()

    def release(self, attempt: AttemptId) -> list[Decision]:
        """``attempt`` is over and reaped, and no reader needs what it wrote."""
        holding = self._holdings.pop(attempt, None)
        if holding is not None:
            self._free.update(dict.fromkeys(lease.shared_file for lease in holding.leases))
        # Whoever had it released takes the pool for no longer short, unless it says so now.
        return self._decide()

    def _hold(self, attempt: AttemptId) -> _Holding:
        holding = self._holdings.get(attempt)
        if holding is None:
            holding = self._holdings[attempt] = _Holding(self._next_order)
            self._next_order += 1
        return holding

    def _decide(self) -> list[Decision]:
        decisions: list[Decision] = []
        waiting = sorted(
            ((a, h) for a, h in self._holdings.items() if h.waiting and not h.giving_way),
            key=lambda pair: pair[1].order,
        )
        while waiting and self._free:
            attempt, holding = waiting.pop(0)
            decisions.append(self._grant(attempt, holding))
        if waiting:
            decisions += self._make_room(waiting)
        return decisions

    def _grant(self, attempt: AttemptId, holding: _Holding) -> Grant:
        shared_file = next(iter(self._free))
        del self._free[shared_file]
        generation = self._generations.get(shared_file, 0) + 1
        self._generations[shared_file] = generation
        lease = Lease(shared_file, generation, attempt)
        holding.leases.append(lease)
        holding.waiting = False
        return Grant(lease)

    def _make_room(self, waiting: list[tuple[AttemptId, _Holding]]) -> list[Decision]:
        """No file is free. Decide who must move, unless somebody is moving already."""
        unpublished = [h for h in self._holdings.values() if h.leases and not h.published]
        if any(not h.waiting or h.giving_way for h in unpublished):
            return []
        holders = [(attempt, holding) for attempt, holding in waiting if holding.leases]
        if len(holders) > 1:
            attempt, holding = holders[-1]
            holding.giving_way = True
            return [Requeue(attempt)]
        if any(holding.published and holding.leases for holding in self._holdings.values()):
            return [Short(len(waiting))]
        attempt, holding = waiting[0]
        holding.waiting = False
        return [Deny(attempt, len(holding.leases))]
