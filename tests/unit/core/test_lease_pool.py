"""The pool of shared files: order, giving way, and that it neither doubles, loses nor forgets anything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.core.lease_pool import Decision, Deny, Grant, LeasePool, Requeue, Short
from blfs_mr.model import AttemptId, JobId, Lease, SharedFile, TaskId, TaskKind, VolumeId


def attempt(index: int) -> AttemptId:
    return AttemptId(TaskId(JobId("j"), TaskKind.MAP, index), 1)


def files(count: int) -> list[SharedFile]:
    return [SharedFile(VolumeId("v"), f"shared-{i}", 0, 4096) for i in range(count)]


def pool(count: int) -> LeasePool:
    return LeasePool(files(count), {})


A, B, C, D = map(attempt, range(4))


def granted_to(decisions: list[Decision]) -> list[AttemptId]:
    assert all(isinstance(decision, Grant) for decision in decisions)
    return [decision.lease.attempt for decision in decisions]


def test_a_free_file_is_granted_at_once():
    it = pool(2)
    assert it.request(A) == [Grant(Lease(files(2)[0], 1, A))]
    assert it.free == 1
    assert it.leases(A) == (Lease(files(2)[0], 1, A),)
    assert it.leases(B) == ()


def test_the_oldest_attempt_gets_the_next_free_file():
    it = pool(2)
    for each in (A, B):
        it.request(each)
    assert it.request(C) == it.request(D) == []
    assert it.request(A) == []
    assert granted_to(it.release(B)) == [A]
    assert granted_to(it.release(A)) == [C, D]


def test_of_two_mappers_that_need_two_files_each_of_two_the_younger_gives_way():
    it = pool(2)
    it.request(A)
    it.request(B)
    assert it.request(A) == []
    assert it.request(B) == [Requeue(B)]
    assert granted_to(it.release(B)) == [A]
    assert it.publish(A) == []
    assert it.request(B) == [Short(1)]
    assert granted_to(it.release(A)) == [B]


def test_nothing_more_is_decided_while_an_attempt_gives_way():
    it = pool(3)
    for each in (A, B, C, A, B):
        it.request(each)
    assert it.request(C) == [Requeue(C)]
    assert it.request(D) == []
    assert granted_to(it.release(C)) == [A]


def test_an_attempt_that_gives_way_gets_no_file():
    it = pool(2)
    for each in (A, B, A, B):
        it.request(each)
    assert it.release(A) == []
    assert (it.free, it.leases(B)) == (1, (Lease(files(2)[1], 1, B),))


def test_the_pool_is_short_only_when_published_outputs_alone_stand_in_the_way():
    it = pool(2)
    it.request(A)
    it.request(B)
    assert it.publish(A) == []
    assert it.request(C) == [], "B may still publish or fail"
    assert it.publish(B) == [Short(1)]
    assert it.request(D) == [Short(2)]
    assert granted_to(it.release(A)) == [C]


def test_a_holder_that_waits_for_published_outputs_is_neither_denied_nor_requeued():
    it = pool(2)
    it.request(A)
    it.request(B)
    it.publish(A)
    assert it.request(B) == [Short(1)]
    assert granted_to(it.release(A)) == [B]


def test_an_attempt_that_has_every_file_and_needs_more_is_denied_with_the_figure():
    it = pool(2)
    it.request(A)
    it.request(A)
    assert it.request(B) == []
    assert it.request(A) == [Deny(A, 2)]
    assert granted_to(it.release(A)) == [B]


def test_a_pool_without_files_denies_everybody():
    it = pool(0)
    assert it.request(A) == [Deny(A, 0)]
    assert it.request(B) == [Deny(B, 0)]


def test_generations_rise_at_every_lease_from_the_last_one_known():
    (file,) = files(1)
    it = LeasePool([file], {file: 7})
    for generation in (8, 9, 10):
        assert it.request(A) == [Grant(Lease(file, generation, A))]
        it.release(A)


def test_restored_leases_are_published_and_their_files_taken():
    first, second = files(2)
    it = LeasePool([first, second], {first: 5})
    it.restore([Lease(first, 5, A)])
    assert (it.free, it.leases(A)) == (1, (Lease(first, 5, A),))
    assert it.request(B) == [Grant(Lease(second, 1, B))]
    assert it.request(B) == [Short(1)], "A is published"
    assert it.release(A) == [Grant(Lease(first, 6, B))]


def test_releasing_what_nobody_holds_is_no_matter():
    assert pool(1).release(A) == []


def test_whoever_has_something_released_hears_whether_the_pool_is_short_still():
    it = pool(1)
    it.request(A)
    it.publish(A)
    it.request(B)
    assert it.release(C) == [Short(1)]


def test_publishing_nothing_holds_nothing():
    it = pool(1)
    it.publish(A)
    assert it.request(B) != []
    assert it.request(B) == [Deny(B, 1)]
    assert it.release(A) == []


def test_a_published_attempt_gets_no_further_file():
    it = pool(1)
    it.request(A)
    it.request(A)
    it.publish(A)
    it.request(B)
    assert granted_to(it.release(A)) == [B]


class Shadow:
    """A second book of the pool, kept from its decisions alone, that checks each step."""

    def __init__(self, count: int) -> None:
        self.pool, self.count = pool(count), count
        self.holder: dict[SharedFile, AttemptId] = {}
        self.generation: dict[SharedFile, int] = {}
        self.published: set[AttemptId] = set()
        self.waiting: set[AttemptId] = set()
        self.condemned: set[AttemptId] = set()

    def request(self, who: AttemptId) -> None:
        self.waiting.add(who)
        self.check(self.pool.request(who))

    def publish(self, who: AttemptId) -> None:
        self.published.add(who)
        self.check(self.pool.publish(who))

    def release(self, who: AttemptId) -> None:
        self.holder = {file: holder for file, holder in self.holder.items() if holder != who}
        for state in (self.published, self.waiting, self.condemned):
            state.discard(who)
        self.check(self.pool.release(who))

    def check(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Grant(lease):
                    assert lease.shared_file not in self.holder, "granted twice"
                    assert lease.attempt in self.waiting - self.condemned
                    assert lease.generation > self.generation.get(lease.shared_file, 0)
                    self.holder[lease.shared_file] = lease.attempt
                    self.generation[lease.shared_file] = lease.generation
                    self.waiting.discard(lease.attempt)
                case Requeue(who):
                    assert who in self.waiting - self.condemned
                    assert who in self.holder.values()
                    self.condemned.add(who)
                case Deny(who, held):
                    assert held == self.count == list(self.holder.values()).count(who)
                    self.condemned.add(who)
                    self.waiting.discard(who)
                case Short(waiting):
                    assert waiting == len(self.waiting - self.condemned)
                    assert set(self.holder.values()) & self.published
        assert self.pool.free + len(self.holder) == self.count, "a file is lost"
        if waiting := self.waiting - self.condemned:
            assert self.pool.free == 0, "a file is free and somebody waits for it"
            unpublished = set(self.holder.values()) - self.published
            moving = bool(unpublished & self.condemned or unpublished - self.waiting)
            short = bool(decisions) and isinstance(decisions[-1], Short)
            assert moving or short, f"{waiting} wait for nobody"


STEPS = st.lists(
    st.tuples(st.sampled_from(["request", "publish", "release"]), st.integers(0, 5)), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 5), STEPS)
def test_no_file_is_granted_twice_or_lost_and_nobody_waits_for_nothing(count, steps):
    book = Shadow(count)
    for step, index in steps:
        who = attempt(index)
        busy = book.waiting | book.condemned | book.published
        # A process that waits, was told to die, or is done asks for nothing and publishes nothing.
        if who not in busy if step != "release" else who in busy | set(book.holder.values()):
            getattr(book, step)(who)


@pytest.mark.parametrize("count", [3, 4, 6])
@settings(max_examples=60, deadline=None)
@given(needs=st.lists(st.integers(1, 3), min_size=1, max_size=8), order=st.randoms(use_true_random=False))
def test_mappers_whose_needs_fit_all_finish_when_published_outputs_are_drained(count, needs, order):
    book = Shadow(count)
    unfinished = {attempt(i): need for i, need in enumerate(needs)}
    steps = 0
    while unfinished or book.published:
        steps += 1
        assert steps < 2000, "they take turns for ever"
        if book.condemned:
            book.release(min(book.condemned))
            continue
        running = sorted(set(unfinished) - book.waiting)
        if not running:
            book.release(order.choice(sorted(book.published)))
            continue
        who = order.choice(running)
        if len(book.pool.leases(who)) < unfinished[who]:
            book.request(who)
        else:
            book.publish(who)
            del unfinished[who]
