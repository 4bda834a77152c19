"""What a user of MapReduce expects beside map and reduce, in whole runs."""

from __future__ import annotations

import csv
import json
import random
import signal
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from blfs_mr.generate import generate_records
from tests.integration.harness import EXAMPLES, Daemons, Stage, lines_of, parts_of, wait_for, write_job
from tests.sorted_records import summarize

COUNT = """
    class Count(Job):
        def map(self, record):
            for word in record.split():
                yield word, 1
        def reduce(self, key, values):
            yield key, sum(values)
"""


def test_records_come_out_in_one_order_over_all_parts(shared_daemons: Daemons, tmp_path: Path) -> None:
    source, output = tmp_path / "records", tmp_path / "out"
    generate_records(source, 1_000_000)
    ended = shared_daemons.submit(
        EXAMPLES / "distributed_sort.py", source, "-o", output, "--reducers", 4, "--split-size", "150KiB"
    )
    assert ended.code == 0, ended.stderr
    parts = sorted(output.glob("part-*"))
    before, after = summarize([source]), summarize(parts)
    assert (after.records, after.checksum) == (before.records, before.checksum) == (10_000, before.checksum)
    assert after.in_order
    assert not before.in_order
    assert min(path.stat().st_size for path in parts) > 50_000  # the boundaries divide it into fair shares


def test_the_steps_of_a_job_follow_one_another_and_leave_their_result_only(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    chance = random.Random(3)
    source, output = tmp_path / "text", tmp_path / "out"
    source.write_text(
        "\n".join(" ".join(f"w{int(chance.paretovariate(1))}" for _ in range(50)) for _ in range(200))
    )
    expected = sorted(Counter(source.read_text().split()).items(), key=lambda item: (-item[1], item[0]))[:7]
    options = ("-p", "top=7", "--reducers", 3, "--split-size", "4KiB")
    ended = shared_daemons.submit(EXAMPLES / "top_words.py", source, "-o", output, *options)
    assert ended.code == 0, ended.stderr
    assert b"".join(parts_of(output)).decode() == "".join(f"{word}\t{count}\n" for word, count in expected)
    assert sorted(path.name for path in output.iterdir()) == [
        ".meta",
        "_SUCCESS",
        *(f"part-0000{n}" for n in range(3)),
    ]
    assert "step 1 of 2, CountWords: done" in ended.stderr
    assert "step 2 of 2, KeepMostFrequent: done" in ended.stderr


def test_a_step_that_fails_is_named_and_leaves_nothing(stage: Stage) -> None:
    job = write_job(
        stage.folder,
        COUNT
        + """
    class Fail(Job):
        max_attempts = 1
        def map(self, record):
            raise LookupError(record)
        def reduce(self, key, values):
            yield key, None

    from blfs_mr import Steps
    class Program(Steps):
        steps = [Count, Fail]
    """,
    )
    (stage.folder / "input").write_text("one")
    ended = stage.submit(job, "input", "-o", "out")
    assert ended.code == 1
    assert "error: step 2 of 2, Fail failed: map-00000" in ended.stderr
    assert "map raised LookupError: ('one', 1)" in ended.stderr
    assert not (stage.folder / "out").exists()
    stage.wait_until_nothing_is_left()


def test_a_failing_step_on_daemons_leaves_no_parts_of_the_steps_before(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    job = write_job(
        tmp_path,
        COUNT
        + """
    class Fail(Count):
        def setup(self):
            raise LookupError("here")

    from blfs_mr import Steps
    class Program(Steps):
        steps = [Count, Fail]
    """,
    )
    (tmp_path / "input").write_text("one")
    ended = shared_daemons.submit(job, tmp_path / "input", "-o", tmp_path / "out")
    assert ended.code == 1
    assert not (tmp_path / "out").exists()


def test_side_files_and_modules_are_there_on_both_sides(stage: Stage) -> None:
    program = stage.folder / "program"  # not where the submitter runs, which Python imports from as well
    program.mkdir()
    (stage.folder / "stop words.txt").write_text("the\na\n")
    (program / "helper.py").write_text("def fold(word): return word.lower()\n")
    package = program / "package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("ENDING = '!'\n")
    job = write_job(
        program,
        """
        from helper import fold
        from package.inner import ENDING
        AT_IMPORT = open("stop").read().split()
        class Count(Job):
            def setup(self):
                self.stop = open("stop").read().split()
                assert self.stop == AT_IMPORT
            def map(self, record):
                for word in map(fold, record.split()):
                    if word not in self.stop:
                        yield word + ENDING, 1
            def reduce(self, key, values):
                yield key, sum(values)
        """,
    )
    (stage.folder / "input").write_text("The cat a THE Cat dog")
    options = ("--file", "stop words.txt:stop", "--py-module", "program/helper.py", "--py-module", package)
    ended = stage.submit(job, "input", *options)
    assert ended.code == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == [b"cat!\t2", b"dog!\t1"]
    stage.wait_until_nothing_is_left()
    ended = stage.submit(job, "input", "--file", "stop words.txt:stop")
    assert ended.code == 2
    assert f"add --py-module {program / 'helper.py'}" in ended.stderr


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_compressed_intermediate_data_gives_the_same_result(
    shared_daemons: Daemons, tmp_path: Path, compression: str
) -> None:
    pytest.importorskip({"zstd": "zstandard", "lz4": "lz4.block"}[compression])
    source = tmp_path / "text"
    source.write_text("".join(f"word-{number % 5000:060d} x\n" for number in range(8000)))
    job = write_job(tmp_path, COUNT)
    results, shuffled = [], []
    for name in ("none", compression):
        output = tmp_path / name
        ended = shared_daemons.submit(job, source, "-o", output, "--compression", name, "--reducers", 2)
        assert ended.code == 0, ended.stderr
        results.append(lines_of(output))
        shuffled.append(next(line for line in ended.stderr.splitlines() if "shuffled" in line))
    assert results[0] == results[1]
    assert shuffled[0] != shuffled[1]


def test_events_are_divided_into_sessions_in_the_order_of_time(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    chance = random.Random(5)
    events = [(f"user {chance.randrange(20)}", chance.randrange(100_000), f"/p{n}") for n in range(1500)]
    source = tmp_path / "events.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([("user", "time", "page"), *events])
    expected: defaultdict[str, list[list[tuple[int, str]]]] = defaultdict(list)
    for user, time, page in sorted(events):
        if not expected[user] or time - expected[user][-1][-1][0] > 600:
            expected[user].append([])
        expected[user][-1].append((time, page))
    output = tmp_path / "out"
    options = ("-p", "pause=600", "--split-size", "5KiB", "--reducers", 3)
    ended = shared_daemons.submit(EXAMPLES / "sessions.py", source, "-o", output, *options)
    assert ended.code == 0, ended.stderr
    found: defaultdict[str, list[object]] = defaultdict(list)
    for line in b"".join(parts_of(output)).splitlines():
        user, session = json.loads(line)
        found[user].append(session)
    assert found == {
        user: [
            {"start": part[0][0], "seconds": part[-1][0] - part[0][0], "pages": [page for _, page in part]}
            for part in sessions
        ]
        for user, sessions in expected.items()
    }


def test_a_bad_line_ends_the_job_with_its_file_and_number(stage: Stage) -> None:
    job = write_job(
        stage.folder,
        """
        class Keys(Job):
            input_format = "jsonl"
            max_attempts = 1
            def map(self, record):
                yield record["k"], 1
            def reduce(self, key, values):
                yield key, sum(values)
        """,
    )
    (stage.folder / "data.jsonl").write_text('{"k": "a"}\n{"k": "b"}\nnot json\n')
    ended = stage.submit(job, "data.jsonl")
    assert ended.code == 1
    assert "data.jsonl, line 3: no JSON" in ended.stderr


def test_what_cannot_work_is_refused_before_the_job_starts(stage: Stage) -> None:
    (stage.folder / "odd").write_bytes(b"x" * 101)
    ended = stage.submit(EXAMPLES / "distributed_sort.py", "odd", "-o", "out")
    assert ended.code == 2
    assert "whole records of 100 bytes" in ended.stderr
    assert not (stage.folder / "out").exists()
    job = write_job(stage.folder, COUNT)
    large = stage.folder / "large"
    large.write_bytes(bytes(9 << 20))
    for options, reason in (
        (("--file", "large"), "large: 9MiB, of which 8MiB may travel"),
        (("--file", "absent"), "cannot read the side file absent"),
        (("--file", "odd", "--file", "./odd"), "two side files would be called 'odd'"),
        (("--file", "odd:a/b"), "'a/b' is no plain file name"),
        (("--py-module", "odd"), "a module is a .py file"),
    ):
        ended = stage.submit(job, "odd", *options)
        assert ended.code == 2, ended.stderr
        assert reason in ended.stderr


WAITING = (
    COUNT
    + """
    class Wait(Count):
        def setup(self):
            import signal
            signal.pause()

    from blfs_mr import Steps
    class Program(Steps):
        steps = [Count, Wait]
    """
)


def test_a_submitter_killed_between_steps_leaves_nothing(stage: Stage) -> None:
    (stage.folder / "input").write_text("one")
    submitter = stage.start(write_job(stage.folder, WAITING), "input", "-o", "out")
    wait_for(lambda: "step 1 of 2, Count: done" in submitter.stderr.read_text(), "the first step is done")
    submitter.process.kill()
    submitter.process.wait()
    stage.wait_until_nothing_is_left()


def test_an_interrupt_between_steps_leaves_no_output(shared_daemons: Daemons, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("one")
    output = tmp_path / "out"
    submitter = shared_daemons.start(write_job(tmp_path, WAITING), tmp_path / "input", "-o", output)
    wait_for(lambda: "step 1 of 2, Count: done" in submitter.stderr.read_text(), "the first step is done")
    assert (output / "_temporary-step-1").is_dir()
    submitter.process.send_signal(signal.SIGINT)
    assert submitter.wait().code == 130
    assert not output.exists()
    shared_daemons.wait_until_idle()
