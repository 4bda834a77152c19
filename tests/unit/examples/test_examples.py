"""The examples, run through a dict instead of a cluster, against computations of their own."""

from __future__ import annotations

import io
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import blfs_mr.examples
from blfs_mr.formats.inputs import expand_inputs, make_splits
from blfs_mr.formats.outputs import open_writer
from blfs_mr.formats.reading import open_split
from blfs_mr.job import bind_params, instantiate, load_steps, overrides

EXAMPLES = Path(blfs_mr.examples.__file__).parent
WORDS = ["apple", "Ängstrom", "beta", "ERROR", "gamma", "delta", "e-mail"]


def run(
    name: str, inputs: Iterable[Path], given: dict[str, str] | None = None
) -> tuple[list[str], Counter[str]]:
    """Return the output lines of an example over ``inputs``, and its counters."""
    job_class = load_steps(EXAMPLES / f"{name}.py")[0].job_class
    params = bind_params((job_class,), given or {})[0]
    counters: Counter[str] = Counter()
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for split in make_splits(expand_inputs([str(path) for path in inputs]), 700):
        job = instantiate(job_class, params)
        reader = open_split(split)
        job.split, job.source = reader, reader.source
        job.setup()
        whole = overrides(job_class, "map_split")
        local: defaultdict[Any, list[Any]] = defaultdict(list)
        for pairs in [job.map_split(reader)] if whole else map(job.map, reader.records()):
            for key, value in pairs:
                local[key].append(value)
        for key, values in local.items():
            combined = job.combine(key, iter(values)) if overrides(job_class, "combine") else None
            for new_key, value in ((key, value) for value in values) if combined is None else combined:
                groups[new_key].append(value)
        job.cleanup()
        counters.update(job.counters)
    job = instantiate(job_class, params)
    job.setup()
    file = io.BytesIO()
    writer = open_writer(file)
    for key in sorted(groups):
        writer.write_all(iter(job.reduce(key, iter(groups[key]))))
    writer.finish()
    return file.getvalue().decode().splitlines(), counters


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    chance = random.Random(7)
    paths = [tmp_path / f"text{number}.txt" for number in range(3)]
    for path in paths:
        path.write_text("".join(" ".join(chance.choices(WORDS, k=4)) + "\n" for _ in range(100)))
    return paths


def test_wordcount_counts_as_counter_does(texts: list[Path]) -> None:
    expected = Counter(word for path in texts for word in path.read_text().split())
    assert run("wordcount", texts)[0] == [f"{word}\t{count}" for word, count in sorted(expected.items())]


def test_grep_finds_the_lines_that_re_finds(texts: list[Path]) -> None:
    lines = [line for path in texts for line in path.read_text().splitlines() if "ERROR" in line]
    found, counters = run("grep", texts, {"pattern": "ERR.R"})
    assert found == [f"{line}\t{count}" for line, count in sorted(Counter(lines).items())]
    assert counters == {"user.matches": len(lines)}
    assert run("grep", texts, {"pattern": "error"})[0] == []
    assert run("grep", texts, {"pattern": "error", "ignore_case": "true"})[0] == found


def test_the_inverted_index_lists_the_documents_of_each_word(texts: list[Path]) -> None:
    texts[0].write_text("only here, APPLE\n")
    expected: defaultdict[str, set[str]] = defaultdict(set)
    for path in texts:
        for word in re.findall(r"\w+", path.read_text().lower()):
            expected[word].add(str(path))
    pairs = [line.split("\t") for line in run("inverted_index", texts)[0]]
    assert {word: json.loads(paths) for word, paths in pairs} == {
        word: sorted(paths) for word, paths in expected.items()
    }


def test_the_join_is_what_nested_loops_make_of_it(tmp_path: Path) -> None:
    chance = random.Random(11)
    tables = [
        [(f"k{chance.randrange(30)}", f"{side}{number}") for number in range(60)]
        for side in ("left", "right")
    ]
    paths = [tmp_path / "left.tsv", tmp_path / "right.tsv"]
    for path, table in zip(paths, tables, strict=True):
        path.write_text("".join(f"{key}\t{value}\n" for key, value in table) + "no tab\n")
    expected = [(key, left, right) for key, left in tables[0] for other, right in tables[1] if key == other]
    lines, counters = run("join", paths)
    joined = [(key, *json.loads(values)) for key, values in (line.split("\t") for line in lines)]
    assert sorted(joined) == sorted(expected)
    assert expected
    assert counters == {"user.lines without a tab": 2}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_each_example_is_short_and_tells_how_to_run_it(path: Path) -> None:
    source = path.read_text()
    assert f"python -m blfs_mr.submit blfs_mr/examples/{path.name} " in source
    assert len(source.splitlines()) < 60
    assert load_steps(path)[0].job_class.__module__ == "__blfs_job__"
