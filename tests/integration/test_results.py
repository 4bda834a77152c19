"""Whole runs, embedded and on running daemons, against results computed independently here."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.integration.harness import (
    EXAMPLES,
    WORDCOUNT,
    Daemons,
    Stage,
    lines_of,
    parts_of,
    write_job,
)

EVERY_PLANE = "".join(chr(plane * 0x10000 + 0x41) for plane in range(17))

TEXTS = {
    "one byte": b"x",
    "one line without an end": b"one two one",
    "nothing but line ends": b"\n\n\n",
    "every plane": f"{EVERY_PLANE} \U0001f600 {EVERY_PLANE}\n\U0010ffff x\n".encode(),
    "other separators": "a\x85b\u2028c\u2029d\x1ce\x1cf\u00a0g\u3000h\x00i\x0bj\n".encode(),
    "combining": "e\u0301 \u00e9 e\u0301\n\u200d \ufe0f 👩‍👩‍👧\n".encode(),
    "byte order mark": "\ufeffa b \ufeffa a\n".encode(),
    "carriage returns": b"a b\r\nb a\r\n\ra\rb\n",
    "bytes that are not UTF-8": b"\xff \xfe\xff a\xe2\n\xe2\x82\n\xed\xa0\x80 \xc0\x80 \xff\n",
}


def counted(*contents: bytes) -> list[bytes]:
    """What word count must write, sorted, computed in one process."""
    counts: Counter[str] = Counter()
    for content in contents:
        counts.update(content.decode("utf-8", "surrogateescape").split())
    return sorted(f"{word}\t{count}\n".encode("utf-8", "surrogateescape") for word, count in counts.items())


def words(seed: int, size: int) -> bytes:
    """At least ``size`` bytes of lines of words, some of them frequent."""
    chance = random.Random(seed)
    lines: list[str] = []
    while size > 0:
        line = " ".join(f"w{int(chance.paretovariate(0.6)) % 5000}é" for _ in range(chance.randrange(20)))
        lines.append(line)
        size -= len(line) + 1
    return "\n".join(lines).encode()


@pytest.mark.parametrize("name", TEXTS)
def test_words_of_any_text_are_counted_byte_for_byte(
    shared_daemons: Daemons, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "input"
    source.write_bytes(TEXTS[name])
    output = tmp_path / "out"
    ended = shared_daemons.submit(WORDCOUNT, source, "-o", output)
    assert ended.code == 0, ended.stderr
    assert lines_of(output) == counted(TEXTS[name])


def test_an_output_folder_has_sorted_parts_and_says_that_it_is_complete(stage: Stage) -> None:
    text = words(1, 2 << 20)
    (stage.folder / "input.txt").write_bytes(text)
    ended = stage.submit(WORDCOUNT, "input.txt", "-o", "out", "--reducers", 3, "--split-size", "300KiB")
    assert ended.code == 0, ended.stderr
    assert ended.stdout == b""
    output = stage.folder / "out"
    names = ["part-00000", "part-00001", "part-00002"]
    assert sorted(path.name for path in output.iterdir()) == [".meta", "_SUCCESS", *names]
    assert lines_of(output) == counted(text)
    for part in parts_of(output):
        keys = [line.split(b"\t")[0].decode() for line in part.splitlines()]
        assert keys == sorted(keys)
        assert len(keys) > 1000
    meta = [line.rpartition(":") for line in (output / ".meta").read_text().splitlines()]
    assert [Path(path).name for path, _, _ in meta] == names
    assert {worker for _, _, worker in meta} <= {"worker-0", "worker-1"}
    assert stage.left_behind() == ({}, [])


def test_standard_output_has_the_result_and_nothing_else(stage: Stage) -> None:
    text = words(2, 100_000)
    (stage.folder / "input.txt").write_bytes(text)
    ended = stage.submit(WORDCOUNT, "input.txt")
    assert ended.code == 0, ended.stderr
    assert sorted(ended.stdout.splitlines(keepends=True)) == counted(text)
    assert "done in" in ended.stderr
    assert stage.left_behind() == ({}, [])


def test_an_empty_input_has_an_empty_result(shared_daemons: Daemons, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    ended = shared_daemons.submit(WORDCOUNT, tmp_path / "empty", "-o", tmp_path / "out", "--reducers", 2)
    assert ended.code == 0, ended.stderr
    assert parts_of(tmp_path / "out") == [b"", b""]
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_folders_globs_and_compressed_files_are_read_in_one_job(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    contents = [words(seed, 3000) for seed in range(60)]
    folder = tmp_path / "folder" / "deep"
    folder.mkdir(parents=True)
    for number, content in enumerate(contents[:40]):
        (folder / f"{number} \udcff ü.txt").write_bytes(content)
    (folder / "_ignored").write_bytes(b"never")
    (folder / ".ignored").write_bytes(b"never")
    for number, content in enumerate(contents[40:50]):
        (tmp_path / f"match-{number}.log").write_bytes(content)
    (tmp_path / "all.gz").write_bytes(gzip.compress(b"".join(contents[50:])))
    ended = shared_daemons.submit(
        WORDCOUNT, tmp_path / "folder", tmp_path / "match-*.log", tmp_path / "all.gz", "-o", tmp_path / "out"
    )
    assert ended.code == 0, ended.stderr
    assert lines_of(tmp_path / "out") == counted(*contents[:50], b"".join(contents[50:]))


def test_grep_counts_matching_lines(shared_daemons: Daemons, tmp_path: Path) -> None:
    text = words(3, 50_000)
    (tmp_path / "input").write_bytes(text)
    ended = shared_daemons.submit(
        EXAMPLES / "grep.py", tmp_path / "input", "-p", "pattern=W1[0-9]é", "-p", "ignore_case=yes",
        "-o", tmp_path / "out", "--split-size", "8KiB",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    matching = Counter(line for line in text.decode().split("\n") if re.search("w1[0-9]é", line))
    assert lines_of(tmp_path / "out") == sorted(f"{k}\t{n}\n".encode() for k, n in matching.items())
    assert f"matches = {matching.total():,}" in ended.stderr


def test_the_inverted_index_names_the_documents_of_each_word(shared_daemons: Daemons, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    expected: defaultdict[str, set[str]] = defaultdict(set)
    for seed in range(5):
        path = documents / f"{seed}.txt"
        path.write_bytes(words(seed, 4000))
        for word in re.findall(r"\w+", path.read_text().lower()):
            expected[word].add(str(path))
    ended = shared_daemons.submit(EXAMPLES / "inverted_index.py", documents, "-o", tmp_path / "out")
    assert ended.code == 0, ended.stderr
    written = dict(line.decode().rstrip("\n").split("\t") for line in lines_of(tmp_path / "out"))
    assert {word: json.loads(paths) for word, paths in written.items()} == {
        word: sorted(paths) for word, paths in expected.items()
    }


def test_join_combines_every_pair_of_a_key(shared_daemons: Daemons, tmp_path: Path) -> None:
    chance = random.Random(4)
    left = [(f"k{chance.randrange(300)}", f"left {number}") for number in range(400)]
    right = [(f"k{chance.randrange(300)}", f"right {number}") for number in range(400)]
    for name, rows in (("left", left), ("right", right)):
        (tmp_path / name).write_text("".join(f"{key}\t{value}\n" for key, value in rows))
    ended = shared_daemons.submit(
        EXAMPLES / "join.py", tmp_path / "left", tmp_path / "right", "-o", tmp_path / "out",
        "--split-size", "2KiB",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    joined = Counter((k, a, b) for k, a in left for other, b in right if k == other)
    written = [line.decode().rstrip("\n").split("\t") for line in lines_of(tmp_path / "out")]
    assert Counter((key, *json.loads(pair)) for key, pair in written) == joined


def test_values_and_keys_of_every_kind_cross_from_mapper_to_reducer(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    job = write_job(tmp_path, """
        class Kinds(Job):
            reducers = 2
            def map(self, record):
                number = int(record)
                yield (number, "é", b"\\xff", None, 1.5, True), {"list": [number, b"b"], "deep": ((),)}
            def reduce(self, key, values):
                yield repr(key), repr(list(values))
        """)  # fmt: skip
    numbers = [0, -1, 2**31, 2**63, -(2**70), 10**40]
    (tmp_path / "input").write_text("".join(f"{number}\n" for number in numbers))
    ended = shared_daemons.submit(job, tmp_path / "input", "-o", tmp_path / "out")
    assert ended.code == 0, ended.stderr
    assert lines_of(tmp_path / "out") == sorted(
        f"{(n, 'é', bytes([255]), None, 1.5, True)!r}\t{[{'list': [n, b'b'], 'deep': ((),)}]!r}\n".encode()
        for n in numbers
    )


def test_a_reader_that_has_seen_enough_ends_the_run_quietly(stage: Stage) -> None:
    (stage.folder / "input.txt").write_bytes(b"\n".join(b"word%07d" % n for n in range(100_000)))
    ended = subprocess.run(
        f"{sys.executable} -m blfs_mr.submit -q {WORDCOUNT} input.txt | head -n 1",
        shell=True, cwd=stage.folder, env=stage.environment, capture_output=True, check=False,
    )  # fmt: skip
    assert ended.stdout.count(b"\n") == 1
    assert ended.stderr == b""
    stage.wait_until_nothing_is_left()
