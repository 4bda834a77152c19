"""Columnar jobs through real daemons, against pyarrow (or Python) in one process."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.integration.harness import EXAMPLES, Stage, parts_of, write_job

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def parquet(path: Path, table: object, group: int) -> Path:
    pq.write_table(table, path, row_group_size=group)
    return path


def test_sums_by_group_are_those_of_one_process(stage: Stage, tmp_path: Path) -> None:
    chance = random.Random(1)
    table = pa.table(
        {
            "shop": [chance.choice(["north", "süd", "", None, "west"]) for _ in range(20_000)],
            "amount": [chance.randrange(1000) for _ in range(20_000)],
            "unread": ["x"] * 20_000,
        }
    )
    first = parquet(tmp_path / "1.parquet", table.slice(0, 12_000), 1_000)
    second = parquet(tmp_path / "2.parquet", table.slice(12_000), 100_000)
    ended = stage.submit(
        EXAMPLES / "arrow_group_by.py", first, second, "-o", tmp_path / "out", "--reducers", "3",
        "--split-size", "20KiB", "-p", "by=shop", "-p", "of=amount",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    found = pa.concat_tables([pq.read_table(path) for path in sorted((tmp_path / "out").glob("part-*"))
                              if path.stat().st_size and pq.read_schema(path).names])  # fmt: skip
    expected = table.group_by("shop").aggregate([("amount", "sum"), ("amount", "count")])
    assert sorted(found.to_pylist(), key=str) == sorted(
        expected.rename_columns(["shop", "sum", "rows"]).to_pylist(), key=str
    )


def test_a_join_is_that_of_one_process(stage: Stage, tmp_path: Path) -> None:
    chance = random.Random(2)
    customers = pa.table({"customer": list(range(500)), "name": [f"name {at}" for at in range(500)]})
    orders = pa.table(
        {
            "customer": [chance.randrange(700) for _ in range(5_000)],
            "amount": [chance.random() for _ in range(5_000)],
        }
    )
    ended = stage.submit(
        EXAMPLES / "arrow_join.py",
        parquet(tmp_path / "customers.parquet", customers, 100),
        parquet(tmp_path / "orders.parquet", orders, 1_000),
        "-o", tmp_path / "out", "--reducers", "3",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    found = pq.read_table(tmp_path / "out")
    expected = orders.join(customers, "customer", join_type="inner").select(["customer", "name", "amount"])
    assert sorted(map(str, found.to_pylist())) == sorted(map(str, expected.to_pylist()))


def test_every_part_has_columns_though_it_has_no_rows(stage: Stage, tmp_path: Path) -> None:
    customers = pa.table({"customer": [1], "name": ["one"]})
    orders = pa.table({"customer": [1], "amount": [2.0]})
    ended = stage.submit(
        EXAMPLES / "arrow_join.py",
        parquet(tmp_path / "customers.parquet", customers, 100),
        parquet(tmp_path / "orders.parquet", orders, 100),
        "-o", tmp_path / "out", "--reducers", "4",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    assert len(parts_of(tmp_path / "out")) == 4
    assert pq.read_table(tmp_path / "out").to_pylist() == [{"customer": 1, "name": "one", "amount": 2.0}]


@pytest.mark.parametrize("options", [(), ("--memory", "32MiB"), ("--compression", "lz4")])
def test_a_sort_is_one_from_the_first_part_to_the_last(
    stage: Stage, tmp_path: Path, options: tuple[str, ...]
) -> None:
    if "lz4" in options:
        pytest.importorskip("lz4")
    source = tmp_path / "records"
    # A task of 32 MiB holds less than 5 MiB of rows, and each of three reducers gets 11 MiB.
    rows = 300_000 if "32MiB" in options else 30_000
    source.write_bytes(os.urandom(100 * rows))
    ended = stage.submit(
        EXAMPLES / "arrow_sort.py", source, "-o", tmp_path / "out", "--reducers", "3", *options, deadline=120
    )
    assert ended.code == 0, ended.stderr
    parts = parts_of(tmp_path / "out")
    given, found = source.read_bytes(), b"".join(parts)
    records = [given[at : at + 100] for at in range(0, len(given), 100)]
    sorted_records = [found[at : at + 100] for at in range(0, len(found), 100)]
    keys = [record[:10] for record in sorted_records]
    assert keys == sorted(keys)
    assert sorted(sorted_records) == sorted(records)
    assert min(map(len, parts)) > len(given) // 6


def test_arrow_files_go_in_and_out_with_rows_sorted(stage: Stage, tmp_path: Path) -> None:
    table = pa.table({"word": [f"word {at * 7 % 100}" for at in range(1_000)], "at": list(range(1_000))})
    with pa.OSFile(str(tmp_path / "in.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=90)
    job = write_job(
        tmp_path,
        """
        class Sorted(Job):
            input_format = output_format = "arrow"
            keys = ["word", "at"]
            sort_batches = True
            def map_batch(self, table):
                yield from table.to_batches()
                self.count("tables")
            def reduce_batch(self, table):
                assert table.equals(table.sort_by([("word", "ascending"), ("at", "ascending")]))
                yield table
        """,
    )
    ended = stage.submit(job, tmp_path / "in.arrow", "-o", tmp_path / "out", "--reducers", "2")
    assert ended.code == 0, ended.stderr
    found = []
    for path in sorted((tmp_path / "out").glob("part-*")):
        with pa.OSFile(str(path)) as file:
            found.append(pa.ipc.open_file(file).read_all())
    assert all(part.num_rows for part in found)
    assert pa.concat_tables(found).sort_by("at").equals(table)


def test_a_failure_names_the_table_and_shows_the_users_own_lines(stage: Stage, tmp_path: Path) -> None:
    source = parquet(tmp_path / "in.parquet", pa.table({"a": [1, 2, 3]}), 10)
    job = write_job(
        tmp_path,
        """
        class Fails(Job):
            input_format = output_format = "parquet"
            keys = ["a"]
            max_attempts = 1
            def map_batch(self, table):
                yield table.select(["b"])
            def reduce_batch(self, table):
                yield table
        """,
    )
    ended = stage.submit(job, source, "-o", tmp_path / "out")
    assert ended.code == 1
    assert 'yield table.select(["b"])' in ended.stderr
    assert "a table of 3 rows of" in ended.stderr
    assert "(a: int64)" in ended.stderr


def test_an_input_that_is_no_parquet_is_named(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_text("none\n" * 100)
    ended = stage.submit(EXAMPLES / "arrow_join.py", tmp_path / "in.parquet", "-o", tmp_path / "out")
    assert ended.code == 1
    assert "in.parquet as parquet" in ended.stderr
