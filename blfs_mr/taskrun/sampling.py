"""A sample of a job's map output keys, for the boundaries of a total order.

The submitter takes it before the job starts, by running the user's map over the beginnings of some splits. It
does so in a child process: what user code prints, allocates, waits for or breaks stays there, and ends at a
deadline. A child that fails gives fewer keys and no error, since the real run meets the same fault and
reports it in full.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from blfs_mr import linux
from blfs_mr.errors import BadBlock
from blfs_mr.formats.reading import open_split
from blfs_mr.job import Job, instantiate, overrides
from blfs_mr.model import InputSplit, Param
from blfs_mr.shuffle import Batch, decode_batch, encode_batch
from blfs_mr.shuffle.keys import check_keys
from blfs_mr.taskrun.fork_server import die_with_parent

MOST_SPLITS = 32
"""Splits looked into, evenly spaced: input is often sorted in itself, so a few beginnings would be one
end."""

SPLIT_BYTES = 256 << 10
"""Bytes of each split that are mapped: some thousand records."""

KEYS_OF_A_SPLIT = 4096
"""Keys taken from each split; 32 times as many place the boundaries of a thousand partitions well."""

MOST_BYTES = 16 << 20
"""Bytes of encoded keys that are accepted: keys may be of any size, and the submitter holds all of them."""

MOST_SECONDS = 10.0
"""The child is killed then, and what it has sent by then is the sample."""

MOST_MEMORY = 512 << 20
"""Bytes that user code may take in the child: it runs on the submitter's host, which has other users."""

_LENGTH_BYTES = 4


def sample_keys(
    job_class: type[Job], params: Mapping[str, Param], splits: Sequence[InputSplit], input_format: str
) -> list[Any]:
    """Keys that ``map`` yields for the beginnings of up to MOST_SPLITS of ``splits``, in no set order.

    Empty where user code fails, yields nothing, or takes too long for its first split. Forks; the caller must
    be a process of one thread.
    """
    chosen = _evenly_spaced(splits)
    reading, writing = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            _be_child(parent, writing, (_keys_of(job_class, params, split, input_format) for split in chosen))
        finally:
            os._exit(0)
    os.close(writing)
    try:
        return _received(reading)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _evenly_spaced(splits: Sequence[InputSplit]) -> list[InputSplit]:
    count = min(len(splits), MOST_SPLITS)
    return [splits[number * len(splits) // count] for number in range(count)]


def _keys_of(
    job_class: type[Job], params: Mapping[str, Param], split: InputSplit, input_format: str
) -> list[Any]:
    """As the mapper runs it, up to the number of keys that is wanted."""
    if overrides(job_class, "map_batch"):
        # By name, as in attempt: other jobs lack pyarrow.
        from importlib import import_module

        columnar = import_module("blfs_mr.arrow.sampling")
        keys: list[Any] = columnar.keys_of(job_class, params, split, input_format, KEYS_OF_A_SPLIT)
        return keys
    job = instantiate(job_class, dict(params))
    reader = open_split(replace(split, length=min(split.length, SPLIT_BYTES)), input_format)
    job.split, job.source = reader, reader.source
    job.setup()
    pairs: Iterable[tuple[Any, Any]]
    if overrides(job_class, "map_split"):
        pairs = job.map_split(reader)
    else:
        pairs = chain.from_iterable(map(job.map, reader.records()))
    keys = [key for key, _ in islice(pairs, KEYS_OF_A_SPLIT)]
    check_keys(keys)
    return keys


def _be_child(parent: int, writing: int, samples: Iterator[list[Any]]) -> None:
    """Send the encoded keys of each split, each behind its length."""
    die_with_parent(parent)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.stdout = sys.stderr = open(null, "w")  # noqa: SIM115 - as long as the process
    linux.limit_memory_growth(MOST_MEMORY)
    with open(writing, "wb") as pipe:
        for keys in samples:
            payload = encode_batch(Batch(keys, None, [None] * len(keys)))
            pipe.write(len(payload).to_bytes(_LENGTH_BYTES, "little") + payload)
            pipe.flush()


def _received(reading: int) -> list[Any]:
    """The keys of all payloads that came complete, within the bounds of time and size."""
    deadline = time.monotonic() + MOST_SECONDS
    content = bytearray()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while len(content) < MOST_BYTES and (left := deadline - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            break
        chunk = os.read(reading, 1 << 16)
        if not chunk:
            break
        content += chunk
    return [key for payload in _payloads(bytes(content)) for key in _decoded(payload)]


def _payloads(content: bytes) -> Iterator[bytes]:
    start = 0
    while start + _LENGTH_BYTES <= len(content):
        begin = start + _LENGTH_BYTES
        start = begin + int.from_bytes(content[start:begin], "little")
        if start <= len(content):
            yield content[begin:start]


def _decoded(payload: bytes) -> list[Any]:
    # The child ran code of the user's, which may have written anything to the pipe.
    try:
        return decode_batch(payload).keys
    except BadBlock:
        return []
