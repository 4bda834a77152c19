"""Jobs of any shape through real processes: the groups are those of a plain dict.

All that moves data is turned at once: pool, memory, blocks, compression, splits, reducers, workers, slots.
The pool is often several times too small, so that jobs drain and take turns.
"""

from __future__ import annotations

import random
from ast import literal_eval
from collections import defaultdict
from typing import Any

import pytest

from tests.integration.harness import DEADLINE, Stage, lines_of, write_job

LITERALS = """
from ast import literal_eval
class Literals(Job):
    def map(self, record):
        yield literal_eval(record)
    def reduce(self, key, values):
        yield repr(key), repr(sorted(values, key=repr))
"""


def a_key(chance: random.Random, kind: str) -> Any:
    match kind:
        case "few":
            return chance.randrange(5)
        case "texts":
            return "".join(chance.choices("aä\t字🂡 ", k=chance.randrange(12)))
        case "bytes":
            return chance.randbytes(chance.randrange(9))
        case "pairs":
            return chance.randrange(50), chance.choice(("", "x"))
        case _:
            return chance.choice((chance.randrange(1 << 80), chance.random(), True, chance.randrange(3)))


def some_records(chance: random.Random) -> list[tuple[Any, Any]]:
    """Up to a megabyte or so of them."""
    kind = chance.choice(("few", "texts", "bytes", "pairs", "numbers"))
    return [
        (a_key(chance, kind), chance.choice((None, number, f"value {number}", b"x" * chance.randrange(300))))
        for number in range(chance.choice((300, 4_000, 12_000)))
    ]


def grouped(records: list[tuple[Any, Any]]) -> dict[Any, list[str]]:
    groups: defaultdict[Any, list[str]] = defaultdict(list)
    for key, value in records:
        groups[key].append(repr(value))
    return {key: sorted(values) for key, values in groups.items()}


@pytest.mark.parametrize("seed", range(10))
def test_groups_are_those_of_a_dict_whatever_the_shape_of_job_and_pool(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)
    records = some_records(chance)
    source = stage.folder / "input"
    source.write_text("".join(f"{record!r}\n" for record in records))
    config = stage.folder / "config.toml"
    config.write_text(
        f'[worker]\nshared_files = {chance.choice((3, 6, 40))}\nshared_file_size = "128KiB"\n'
        f'[job]\nblock_size = "{chance.choice((4, 16, 64))}KiB"\n'
    )
    options = {
        "--split-size": chance.choice(("60KB", "150KB")),
        "--reducers": chance.randint(1, 9),
        "--workers": chance.randint(1, 3),
        "--slots": chance.randint(1, 2),
        "--memory": chance.choice(("32MiB", "64MiB", "256MiB")),
        "--compression": chance.choice(("none", "zstd", "lz4")),
    }
    job = write_job(stage.folder, LITERALS)
    turned = [word for option in options.items() for word in option]
    ended = stage.submit(job, source, "-o", "out", "--config", config, *turned, deadline=3 * DEADLINE)
    assert ended.code == 0, (options, config.read_text(), ended.stderr)
    found: dict[Any, list[str]] = {}
    for line in lines_of(stage.folder / "out"):
        key, values = map(literal_eval, line.decode().removesuffix("\n").split("\t"))
        assert key not in found, "a key in two groups"
        found[key] = sorted(map(repr, values))
    assert found == grouped(records), options
