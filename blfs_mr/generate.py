"""Random input of a given size, for examples, tests and benchmarks: text, or records to sort.

Words are drawn evenly from a vocabulary that the seed makes. Records are those of the sort benchmarks
(sortbenchmark.org): 100 bytes, of which the first 10 are a random key. The same arguments give the same bytes
on every machine, so a figure or a failure found with such an input can be found again.
"""

from __future__ import annotations

import os
import random
import string
from collections.abc import Iterable, Iterator
from pathlib import Path

from blfs_mr.errors import OutputError, UsageError
from blfs_mr.units import format_size

RECORD_SIZE, RECORD_KEY_SIZE = 100, 10
"""Bytes of a record to sort, and of the key that it begins with."""

DEFAULT_VOCABULARY = 2000
DEFAULT_WORDS_PER_LINE = 10

_WORD_LENGTHS = (3, 10)

# The vocabulary is held in memory: a million words take some 60 MiB.
_LARGEST_VOCABULARY = 1_000_000

# A line is built as a whole; this many words of the greatest length are 11 MiB.
_MOST_WORDS_PER_LINE = 1_000_000

# Records made at a time: 1 MiB of them.
_RECORDS_PER_CHUNK = 1024 * 1024 // RECORD_SIZE

# What follows a record's key and number: the same in all, for a sort does not look at it.
_FILLER = (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 4)[: RECORD_SIZE - RECORD_KEY_SIZE - 32]

# Words that are drawn at a time: long enough to write about 1 MiB, short enough to stay in the cache.
_WORDS_PER_CHUNK = 128 * 1024


def generate_text(
    path: Path,
    size: int,
    *,
    vocabulary: int = DEFAULT_VOCABULARY,
    words_per_line: int = DEFAULT_WORDS_PER_LINE,
    seed: int = 0,
    replace: bool = False,
) -> int:
    """Write random words to ``path`` and return the bytes written: ``size``, or less by a part of a word.

    The file appears complete or not at all. Raises UsageError for arguments that make no text, OutputError
    where the file exists (unless ``replace``), its folder does not, or the disk lacks the room.
    """
    _check(size, vocabulary, words_per_line)
    return _write(path, size, text_chunks(size, vocabulary, words_per_line, seed), replace)


def generate_records(path: Path, size: int, *, seed: int = 0, replace: bool = False) -> int:
    """Write records to sort to ``path`` and return the bytes written: the whole records in ``size``.

    Raises as :func:`generate_text` does.
    """
    if size < 0:
        raise UsageError(f"a file cannot have {size} bytes")
    return _write(path, size, record_chunks(size // RECORD_SIZE, seed), replace)


def record_chunks(records: int, seed: int) -> Iterator[bytes]:
    """So many records, in pieces: a random key, the record's number as 32 hexadecimal digits, filler."""
    chance = random.Random(seed)
    for first in range(0, records, _RECORDS_PER_CHUNK):
        numbers = range(first, min(first + _RECORDS_PER_CHUNK, records))
        keys = chance.randbytes(RECORD_KEY_SIZE * len(numbers))
        starts = range(0, len(keys), RECORD_KEY_SIZE)
        yield b"".join(
            [
                b"%b%032X%b" % (keys[start : start + RECORD_KEY_SIZE], number, _FILLER)
                for start, number in zip(starts, numbers, strict=True)
            ]
        )


def _write(path: Path, size: int, chunks: Iterable[bytes], replace: bool) -> int:
    """Write ``chunks``, at most ``size`` bytes in all, to ``path``: complete or not at all."""
    if path.exists() and not replace:
        raise OutputError(f"{path} exists already; give another name, or --force to replace it")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}")
    disk = os.statvfs(path.parent)
    free = disk.f_bavail * disk.f_frsize
    if free < size:
        raise OutputError(
            f"{path} needs {format_size(size)}, but only {format_size(free)} are free in {path.parent}"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.incomplete")
    try:
        try:
            with open(temporary, "wb") as file:
                file.writelines(chunks)
                written = file.tell()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    return written


def text_chunks(size: int, vocabulary: int, words_per_line: int, seed: int) -> Iterator[bytes]:
    """The text in pieces that end with a line. The last line may be short of words, to come near ``size``."""
    chance = random.Random(seed)
    words = _words(chance, vocabulary)
    lines_per_chunk = max(1, _WORDS_PER_CHUNK // words_per_line)
    left = size
    while left > 0:
        drawn = chance.choices(words, k=lines_per_chunk * words_per_line)
        lines = zip(*[iter(drawn)] * words_per_line, strict=True)
        chunk = "\n".join(map(" ".join, lines)) + "\n"
        if len(chunk) > left:
            chunk = _cut(chunk, left)
            left = 0
        left -= len(chunk)
        yield chunk.encode("ascii")


def _cut(text: str, size: int) -> str:
    """As many whole words of ``text`` as fit into ``size`` bytes, with a line end."""
    end = max(text.rfind(" ", 0, size), text.rfind("\n", 0, size))
    return text[:end] + "\n" if end > 0 else ""


def _words(chance: random.Random, count: int) -> list[str]:
    shortest, longest = _WORD_LENGTHS
    # A dictionary and not a set: its order is the order of insertion, so the same on every run.
    words: dict[str, None] = {}
    while len(words) < count:
        length = shortest + int(chance.random() * (longest - shortest + 1))
        words["".join(chance.choices(string.ascii_lowercase, k=length))] = None
    return list(words)


def _check(size: int, vocabulary: int, words_per_line: int) -> None:
    if size < 0:
        raise UsageError(f"a file cannot have {size} bytes")
    if not 1 <= vocabulary <= _LARGEST_VOCABULARY:
        raise UsageError(f"a vocabulary of {vocabulary} words: allowed are 1 to {_LARGEST_VOCABULARY}")
    if not 1 <= words_per_line <= _MOST_WORDS_PER_LINE:
        raise UsageError(f"{words_per_line} words a line: allowed are 1 to {_MOST_WORDS_PER_LINE}")
