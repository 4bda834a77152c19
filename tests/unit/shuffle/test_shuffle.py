"""The whole shuffle against a dict: buffer, blocks, merge and groups, over any records and any sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.shuffle import (
    Combiner,
    GroupCursor,
    MapBuffer,
    combine_run,
    decode_batch,
    encode_in_blocks,
    merge_runs,
    partition_of,
)

numbers = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.integers(0, 3))
comparable = st.one_of(
    st.lists(numbers),
    st.lists(st.text(max_size=2)),
    st.lists(st.binary(max_size=2)),
    st.lists(st.none()),
    st.lists(st.tuples(st.text(max_size=1), numbers)),
    st.lists(st.tuples(st.none(), st.integers(0, 2))),
)


def shuffled(
    keys: list[Any], mappers: int, partitions: int, memory: int, target: int, combine: Any
) -> Iterator[tuple[int, Any, list[int]]]:
    """Every group of a job whose maps yield (key, 1)."""
    runs: defaultdict[int, list[list[bytes]]] = defaultdict(list)
    for mapper in range(mappers):
        buffer = MapBuffer(partitions, memory=memory, resident=lambda: 0, combine=combine)
        pairs = iter([(key, 1) for key in keys[mapper::mappers]])
        more = True
        while more:
            more = buffer.fill(pairs)
            for partition, batch in buffer.drain():
                runs[partition].append(
                    [block.payload for block in encode_in_blocks([batch], target, 2 * target)]
                )
    for partition, payloads in runs.items():
        run = merge_runs([map(decode_batch, blocks) for blocks in payloads])
        if combine is not None:
            run = combine_run(run, Combiner(combine))
        for key, values in GroupCursor(run):
            yield partition, key, list(values)


@given(
    comparable,
    st.integers(1, 3),
    st.integers(1, 5),
    st.sampled_from([1, 5000, 1 << 30]),
    st.integers(1, 200),
    st.booleans(),
)
@settings(max_examples=250, deadline=None)
def test_the_shuffle_groups_as_a_dict_does(
    keys: list[Any], mappers: int, partitions: int, memory: int, target: int, combining: bool
) -> None:
    expected: defaultdict[Any, int] = defaultdict(int)
    for key in keys:
        expected[key] += 1
    combine = (lambda key, values: iter([(key, sum(values))])) if combining else None
    found = list(shuffled(keys, mappers, partitions, memory, target, combine))
    assert len(found) == len(expected)
    assert {key: sum(values) for _, key, values in found} == expected
    assert all(partition == partition_of(key, partitions) for partition, key, _ in found)
