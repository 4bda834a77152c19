"""Where a worker tells its reducers to read: originals, drained copies, and never what was replaced."""

from __future__ import annotations

from blfs_mr.model import (
    AttemptId,
    JobId,
    Lease,
    MapOutput,
    PublishedFile,
    SharedFile,
    TaskId,
    TaskKind,
    VolumeAccess,
    VolumeId,
    VolumeLayout,
    WorkerName,
)
from daemons import catalogue as module
from daemons.catalogue import Catalogue

VOLUME, SCRATCH = (
    VolumeAccess(VolumeId(letter * 32), VolumeLayout.DIRECTORY, f"/{letter}") for letter in "ab"
)


def output(
    index: int = 0, number: int = 1, volume: VolumeAccess = VOLUME, name: str = "shared-0"
) -> MapOutput:
    attempt = AttemptId(TaskId(JobId("1" * 16), TaskKind.MAP, index), number)
    lease = Lease(SharedFile(volume.volume, name, 0, 4096), 1, attempt)
    return MapOutput(attempt, WorkerName("w"), (PublishedFile(lease, b"", 4096, 1),))


def told(*outputs: MapOutput) -> Catalogue:
    catalogue = Catalogue()
    for each in outputs:
        catalogue.publish(each, VOLUME)
    return catalogue


def test_a_reducer_is_given_each_output_once_with_the_way_to_it():
    catalogue = told(output(0), output(1))
    assert catalogue.new_to(0, ()) == ((output(0), output(1)), (VOLUME,))
    assert catalogue.new_to(0, {output(0).attempt}) == ((output(1),), (VOLUME,))
    assert catalogue.new_to(0, {output(0).attempt, output(1).attempt}) == ((), ())


def test_a_volume_that_cannot_be_reached_is_not_named():
    catalogue = Catalogue()
    catalogue.publish(output(), None)
    assert catalogue.new_to(0, ()) == ((output(),), ())


def test_a_replacement_is_new_and_what_it_replaced_is_gone():
    catalogue = told(output(), output(number=2))
    assert catalogue.new_to(0, {output().attempt}) == ((output(number=2),), (VOLUME,))
    assert catalogue.published(output().attempt) is None
    assert catalogue.locate(output().attempt, 0) is None


def test_a_copy_is_named_to_the_partitions_that_it_has_and_the_original_to_others():
    catalogue, copy = told(output()), output(volume=SCRATCH)
    catalogue.drained(copy, [0, 2], SCRATCH)
    assert catalogue.new_to(2, ()) == ((copy,), (SCRATCH,))
    assert catalogue.new_to(1, ()) == ((output(),), (VOLUME,))
    assert catalogue.published(output().attempt) == output(), "a further drain reads the original"


def test_copies_of_one_output_add_up_in_whatever_order_they_are_made():
    catalogue = told(output())
    first, second = output(volume=SCRATCH, name="shared-1"), output(volume=SCRATCH, name="shared-2")
    catalogue.drained(second, [1], SCRATCH)
    catalogue.drained(first, [0], SCRATCH)
    assert [catalogue.locate(output().attempt, partition) for partition in (0, 1)] == [first, second]


def test_a_copy_outlives_that_its_original_is_published_again():
    catalogue, copy = told(output()), output(volume=SCRATCH)
    catalogue.drained(copy, [0], SCRATCH)
    catalogue.publish(output(), VOLUME)
    assert catalogue.locate(output().attempt, 0) == copy


def test_a_copy_is_dropped_with_the_output_that_it_was_made_of():
    catalogue = told(output())
    catalogue.drained(output(volume=SCRATCH), [0], SCRATCH)
    catalogue.publish(output(number=2), VOLUME)
    assert catalogue.new_to(0, ()) == ((output(number=2),), (VOLUME,))


def test_a_copy_that_is_ready_after_its_output_was_replaced_is_never_named():
    catalogue = told(output(number=2))
    catalogue.drained(output(volume=SCRATCH), [0], SCRATCH)
    assert catalogue.new_to(0, ()) == ((output(number=2),), (VOLUME,))


def test_no_more_outputs_are_named_at_once_than_fit_into_a_message(monkeypatch):
    monkeypatch.setattr(module, "MOST_AT_ONCE", 2)
    catalogue = told(*map(output, range(5)))
    given: set[AttemptId] = set()
    sizes = []
    while new := catalogue.new_to(0, given)[0]:
        given |= {each.attempt for each in new}
        sizes.append(len(new))
    assert sizes == [2, 2, 1]
