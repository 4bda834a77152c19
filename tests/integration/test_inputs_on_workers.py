"""Inputs that are on workers' disks: lists of files, and inputs that were put there, with hosts that go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from blfs_mr.formats.manifest import HeldPiece, Manifest
from blfs_mr.formats.meta import MetaEntry, read_meta, write_meta
from blfs_mr.model import WorkerName
from tests.integration.harness import (
    EXAMPLES,
    HELD,
    WORDCOUNT,
    Daemons,
    Stage,
    lines_of,
    parts_of,
    wait_for,
    write_job,
)

BOTH = ("worker-0", "worker-1")


def put(
    daemons: Daemons, name: str, pieces: Mapping[str, tuple[bytes, tuple[str, ...]]], boundary: str = ""
) -> None:
    """What ``blfs-mr input put`` leaves: the pieces with their holders, and the manifest."""
    held = []
    for file, (content, holders) in pieces.items():
        for holder in holders:
            path = daemons.home / "input" / holder / f"{name}.1" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        held.append(
            HeldPiece(f"{name}.1/{file}", len(content), "", tuple(WorkerName(holder) for holder in holders))
        )
    folder = daemons.home / "manifests"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.manifest").write_text(Manifest(name, "1", boundary, tuple(held)).text())


def test_the_output_of_a_job_is_the_input_of_the_next(shared_daemons: Daemons, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"a b a\n" * 1000 + b"c\n")
    first = shared_daemons.submit(WORDCOUNT, tmp_path / "input", "-o", tmp_path / "one", "--reducers", 3)
    assert first.code == 0, first.stderr
    again = shared_daemons.submit(WORDCOUNT, tmp_path / "one" / ".meta", "-o", tmp_path / "two")
    assert again.code == 0, again.stderr
    assert lines_of(tmp_path / "two") == [
        b"1\t1\n",
        b"1000\t1\n",
        b"2000\t1\n",
        b"a\t1\n",
        b"b\t1\n",
        b"c\t1\n",
    ]


def test_what_a_list_names_and_is_not_there_is_told_before_the_job(
    shared_daemons: Daemons, stage: Stage, tmp_path: Path
) -> None:
    listed = tmp_path / "x.meta"
    for path, worker, said in (
        ("/nowhere/part-0", "worker-1", "worker-1: cannot read the input /nowhere/part-0: No such file"),
        ("/nowhere/part-0", "worker-9", "the worker worker-9 is not there"),
        ("part-0", "worker-1", "part-0 on worker-1 is no absolute path"),
    ):
        write_meta(str(listed), [MetaEntry(path, WorkerName(worker))])
        ended = shared_daemons.submit(WORDCOUNT, listed, "-o", tmp_path / "out")
        assert ended.code == 2
        assert said in ended.stderr
        assert not (tmp_path / "out").exists()
    ended = stage.submit(WORDCOUNT, listed, "-o", tmp_path / "out")
    assert ended.code == 2
    assert "lists files on the workers of a cluster: name it with --master or --config" in ended.stderr


def test_an_input_by_its_name_goes_to_those_who_hold_it(shared_daemons: Daemons, tmp_path: Path) -> None:
    job = write_job(tmp_path, """
        class Where(Job):
            def map(self, record):
                yield self.split.path.split("/")[-3], 1
            def reduce(self, key, values):
                yield key, sum(values)
        """)  # fmt: skip
    put(
        shared_daemons,
        "where",
        {"00000-a": (b"1\n2\n", ("worker-0",)), "00001-b": (b"3\n4\n5\n", ("worker-1",))},
        "line ends",
    )
    ended = shared_daemons.submit(job, "where", "-o", tmp_path / "out")
    assert ended.code == 0, ended.stderr
    assert lines_of(tmp_path / "out") == [b"worker-0\t2\n", b"worker-1\t3\n"]
    refused = shared_daemons.submit(EXAMPLES / "join.py", "where", "nothing", "-o", tmp_path / "none")
    assert refused.code == 2
    assert "no such input: nothing: no file is here, and there is no input named nothing" in refused.stderr


def test_pieces_are_not_read_as_what_they_are_not(shared_daemons: Daemons, tmp_path: Path) -> None:
    put(shared_daemons, "table", {"00000-a": (b"x,y\n1,2\n", BOTH)}, "line ends below a header")
    ended = shared_daemons.submit(WORDCOUNT, "table", "-o", tmp_path / "out")
    assert ended.code == 2
    assert "the input table was cut at line ends below a header, and cannot be read as lines" in ended.stderr


def test_a_name_that_is_two_things_is_not_guessed(shared_daemons: Daemons, stage: Stage) -> None:
    put(shared_daemons, "twice", {"00000-a": (b"there\n", BOTH)})
    start = shared_daemons.stage.folder / "twice"
    start.write_bytes(b"here\n")
    ended = shared_daemons.submit(WORDCOUNT, "twice", "-o", stage.folder / "out")
    assert ended.code == 2
    assert "write ./twice for what is here" in ended.stderr
    ended = shared_daemons.submit(WORDCOUNT, "./twice", "-o", stage.folder / "out")
    assert ended.code == 0, ended.stderr
    assert lines_of(stage.folder / "out") == [b"here\t1\n"]


def test_a_total_order_is_found_from_what_is_held_on_this_host(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    job = write_job(tmp_path, """
        class Sorted(Job):
            total_order = True
            def map(self, record):
                yield record, None
            def reduce(self, key, values):
                yield key, None
        """)  # fmt: skip
    rows = [f"{(number * 7919) % 10007:05d}\n".encode() for number in range(4000)]
    put(
        shared_daemons,
        "rows",
        {"00000-a": (b"".join(rows[:2000]), BOTH), "00001-a": (b"".join(rows[2000:]), ("worker-1",))},
        "line ends",
    )
    ended = shared_daemons.submit(job, "rows", "-o", tmp_path / "out", "--reducers", 4)
    assert ended.code == 0, ended.stderr
    parts = parts_of(tmp_path / "out")
    assert b"".join(parts) == b"".join(sorted(rows))
    assert all(parts)


def test_a_map_runs_again_where_its_input_is_held_too(
    start_daemons: Callable[..., Daemons], stage: Stage
) -> None:
    daemons = start_daemons(workers=3)
    names = [f"{number:05d}-a" for number in range(6)]
    lines = {name: f"line {number}\n".encode() * 50 for number, name in enumerate(names)}
    holders = (BOTH, ("worker-1", "worker-2"), ("worker-0", "worker-2"))
    put(
        daemons,
        "held",
        {name: (lines[name], holders[number % 3]) for number, name in enumerate(names)},
        "line ends",
    )
    gate = stage.folder / "gate"
    gate.touch()
    job = write_job(stage.folder, HELD, "held.py")
    submitter = daemons.start(job, "held", "-p", f"gate={gate}", "-o", stage.folder / "out")
    wait_for(lambda: len(list(stage.folder.glob("gate.*"))) >= 3, "three attempts run")
    daemons.kill("worker-1")
    gate.unlink()
    ended = submitter.wait()
    assert ended.code == 0, ended.stderr
    assert lines_of(stage.folder / "out") == [f"line {number}\t50\n".encode() for number in range(6)]


def test_a_job_whose_input_nobody_holds_any_more_fails_by_its_name(
    start_daemons: Callable[..., Daemons], stage: Stage
) -> None:
    daemons = start_daemons(workers=3, master="no_worker_deadline = '1s'")
    put(daemons, "gone", {"00000-a": (b"a\n", BOTH), "00001-b": (b"b\n", ("worker-2",))}, "line ends")
    daemons.kill("worker-0")
    daemons.kill("worker-1")
    daemons.wait_for_workers(1)
    ended = daemons.submit(WORDCOUNT, "gone", "-o", stage.folder / "out")
    assert ended.code == 1
    assert "no worker holds the input of map-00000, gone.1/00000-a: worker-0, worker-1" in ended.stderr
    assert not (stage.folder / "out").exists()


def test_an_input_that_is_being_removed_is_none(shared_daemons: Daemons, tmp_path: Path) -> None:
    put(shared_daemons, "leaving", {"00000-a": (b"a\n", BOTH)})
    path = shared_daemons.home / "manifests" / "leaving.manifest"
    path.write_text(path.read_text().replace('"removed":false', '"removed":true'))
    ended = shared_daemons.submit(WORDCOUNT, "leaving", "-o", tmp_path / "out")
    assert ended.code == 2
    assert "the input leaving is being removed" in ended.stderr


def test_a_file_that_is_gone_from_one_holder_is_read_from_the_other(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    put(shared_daemons, "half", {f"{number:05d}-a": (b"a\n", BOTH) for number in range(4)}, "line ends")
    for path in (shared_daemons.home / "input" / "worker-0" / "half.1").iterdir():
        path.unlink()
    ended = shared_daemons.submit(WORDCOUNT, "half", "-o", tmp_path / "out")
    assert ended.code == 0, ended.stderr
    assert lines_of(tmp_path / "out") == [b"a\t4\n"]


@pytest.mark.parametrize("content", [b"", b"x\n"])
def test_sizes_of_listed_files_come_from_their_workers(
    shared_daemons: Daemons, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "one").write_bytes(content)
    write_meta(str(tmp_path / "in.meta"), [MetaEntry(str(tmp_path / "one"), WorkerName("worker-1"))])
    assert len(read_meta(str(tmp_path / "in.meta"))) == 1
    ended = shared_daemons.submit(WORDCOUNT, tmp_path / "in.meta", "-o", tmp_path / "out")
    assert ended.code == 0, ended.stderr
    assert lines_of(tmp_path / "out") == ([b"x\t1\n"] if content else [])
