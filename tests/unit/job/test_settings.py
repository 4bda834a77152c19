"""The settings that a job class states."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from blfs_mr.errors import JobFileError, UsageError
from blfs_mr.job import ClassSettings, Job, read_settings

MIB = 1024 * 1024


def read(**attributes: object) -> ClassSettings:
    return read_settings(
        type("J", (Job,), attributes),
        input_format=one_of("lines"),
        output_format=one_of("text"),
        compression=one_of("", "zstd"),
    )


def one_of(*names: str) -> Callable[[str], None]:
    def check(name: str) -> None:
        if name not in names:
            raise UsageError(f"one of {names}")

    return check


def test_a_class_that_states_nothing_has_the_documented_settings() -> None:
    assert read() == ClassSettings(None, 256 * MIB, 256 * 1024, 4, 0.0, "lines", "text", "", False, False)


def test_sizes_and_times_may_be_written_as_text() -> None:
    settings = read(memory="1GiB", block_size="64KiB", task_timeout="5min", reducers=3, max_attempts=1)
    assert (settings.memory, settings.block_size, settings.task_timeout) == (1024 * MIB, 65536, 300.0)
    assert (settings.reducers, settings.max_attempts) == (3, 1)


@pytest.mark.parametrize(
    ("attribute", "wrong", "allowed"),
    [
        ("reducers", 0, "from 1 to 65536"),
        ("reducers", True, "from 1 to 65536"),
        ("memory", "1MiB", "at least 32MiB"),
        ("memory", "lots", "a size is"),
        ("block_size", "8MiB", "at least 4KiB and at most 4MiB"),
        ("max_attempts", 0, "from 1 to 100"),
        ("max_attempts", "4", "from 1 to 100"),
        ("task_timeout", "soon", "a duration is"),
        ("input_format", "parquet", "one of ('lines'"),
        ("output_format", None, "must be a name"),
        ("compression", "gzip", "one of ('', 'zstd'"),
        ("compression", 3, "must be a name"),
        ("sort_values", 1, "True or False"),
        ("total_order", "yes", "True or False"),
    ],
)
def test_a_wrong_setting_is_named_with_the_file_and_what_is_allowed(
    attribute: str, wrong: object, allowed: str
) -> None:
    with pytest.raises(JobFileError) as caught:
        read(**{attribute: wrong})
    told = str(caught.value)
    assert f"J.{attribute} = {wrong!r}" in told
    assert allowed in told
    assert __file__ in told


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(JobFileError) as caught:
        read(reducers=-1, memory="x", output_format="y")
    assert str(caught.value).count("J.") == 3


def test_a_total_order_leaves_no_room_for_a_partition_method() -> None:
    assert read(total_order=True).total_order
    with pytest.raises(JobFileError, match=r"J\.total_order = True: .*partition"):
        read(total_order=True, partition=lambda self, key, partitions: 0)


def test_no_compression_may_be_written_as_none() -> None:
    assert read(compression=None).compression == ""
    assert read(compression="zstd").compression == "zstd"
