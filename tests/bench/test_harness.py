"""The harness by itself: fake work with known times, and processes that must not be left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.harness import Comparison, Row, measure
from tests.bench.processes import (
    REPOSITORY,
    CommandFailed,
    kill,
    none_left_behind,
    seconds_of,
    start,
)

PYTHON = [sys.executable, "-c"]


def scripted(*seconds: float, calls: list[str] | None = None, name: str = "") -> Callable[[], float]:
    """Work that takes the given seconds in turn; the first is the round that is not counted."""
    left = iter(seconds)

    def work() -> float:
        if calls is not None:
            calls.append(name)
        return next(left)

    return work


def compare(ours: Callable[[], float], reference: Callable[[], float], goal: float = 1.0) -> Comparison:
    return Comparison("case", ours, reference, "the reference", goal)


def test_sides_alternate_and_each_is_first_in_every_other_round() -> None:
    calls: list[str] = []
    ours = scripted(*[1.0] * 5, calls=calls, name="ours")
    reference = scripted(*[1.0] * 5, calls=calls, name="reference")
    measure("fake", [compare(ours, reference)], rounds=4)
    counted = calls[2:]
    assert counted == ["ours", "reference", "reference", "ours"] * 2


def test_the_ratio_is_of_medians_without_the_first_round() -> None:
    ours = scripted(99.0, 1.0, 2.0, 9.0)
    reference = scripted(99.0, 5.0, 6.0, 4.0)
    (row,) = measure("fake", [compare(ours, reference)], rounds=3).rows
    assert isinstance(row, Row)
    assert row.ratio == 2.5


@pytest.mark.parametrize(("goal", "met"), [(2.0, True), (2.01, False)])
def test_a_goal_is_met_from_its_ratio_on(goal: float, met: bool) -> None:
    comparison = compare(lambda: 1.0, lambda: 2.0, goal)
    (row,) = measure("fake", [comparison], rounds=1).rows
    assert isinstance(row, Row)
    assert row.met is met


def test_the_json_has_median_spread_ratio_goal_and_machine() -> None:
    report = measure("fake", [compare(scripted(9, 1, 2, 4), lambda: 3.0, 1 / 1.5)], rounds=3)
    told = json.loads(json.dumps(report.as_json()))
    assert told["name"] == "fake"
    assert told["rounds"] == 3
    assert told["machine"]["cores"] >= 1
    assert told["rows"] == [
        {
            "case": "case",
            "ours": {"seconds": {"median": 2, "spread": [1, 4]}},
            "reference": {"seconds": {"median": 3, "spread": [3, 3]}},
            "reference_name": "the reference",
            "ratio": 1.5,
            "goal": 0.667,
            "met": True,
        }
    ]


def test_a_missing_peer_is_a_named_skip_and_nothing_of_it_is_run() -> None:
    def never() -> float:
        raise AssertionError("it was run")

    skipped = Comparison("case", never, never, "the peer", 1.0, unavailable="the peer is not installed")
    report = measure("fake", [skipped, compare(lambda: 1.0, lambda: 1.0)], rounds=1)
    first, second = report.as_json()["rows"]
    assert first["skipped"] == "the peer is not installed"
    assert second["met"] is True
    assert "| skipped: the peer is not installed | the peer |" in report.as_markdown()


def test_commands_run_at_the_same_time_and_the_last_exit_counts(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Each end of the pipe waits for the other: one after the other they would never end.
    reader = [*PYTHON, "import sys; open(sys.argv[1]).read()", pipe]
    writer = [*PYTHON, "import sys; open(sys.argv[1], 'w')", pipe]
    assert 0 < seconds_of(reader, writer, deadline=20) < 20


def test_a_command_that_fails_is_no_measurement_and_its_words_are_shown() -> None:
    with pytest.raises(CommandFailed, match=r"exit codes \[3\][\s\S]*why it failed"):
        seconds_of([*PYTHON, "import sys; print('why it failed', file=sys.stderr); sys.exit(3)"])


def test_a_command_that_hangs_is_told_after_its_deadline() -> None:
    with pytest.raises(CommandFailed, match=r"not done after 0\.1 s"):
        seconds_of([*PYTHON, "import signal; signal.pause()"], deadline=0.1)


def test_what_a_command_started_is_killed_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"import os, signal; open({str(pid_file)!r}, 'w').write(str(os.getpid())); signal.pause()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with open(os.devnull, "w") as null:
        process = start([*PYTHON, parent], stdout=subprocess.DEVNULL, stderr=null)
    pid = wait_for_pid(pid_file)
    kill(process)
    assert ends(pid)


def test_orphans_in_groups_of_their_own_are_killed_at_the_end(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    orphan = f"import os, signal; open({str(pid_file)!r}, 'w').write(str(os.getpid())); signal.pause()"
    parent = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {orphan!r}], start_new_session=True)\n"
        f"while not os.path.exists({str(pid_file)!r}) or not os.path.getsize({str(pid_file)!r}):\n"
        "    time.sleep(0.01)"
    )
    harness = (
        "import sys\nfrom tests.bench.processes import none_left_behind, seconds_of\n"
        f"with none_left_behind(): seconds_of([sys.executable, '-c', {parent!r}])"
    )
    subprocess.run([*PYTHON, harness], cwd=REPOSITORY, check=True, timeout=30)
    assert ends(int(pid_file.read_text()))


def test_what_ran_before_is_left_alone() -> None:
    # As the daemons of a lab that other tests of the same process use.
    with subprocess.Popen(["sleep", "infinity"], start_new_session=True) as before:
        handler = signal.getsignal(signal.SIGTERM)
        with none_left_behind():
            within = subprocess.Popen(["sleep", "infinity"], start_new_session=True)
        assert ends(within.pid)
        assert before.poll() is None
        assert signal.getsignal(signal.SIGTERM) is handler
        before.kill()


def test_a_termination_signal_leaves_nothing_behind(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = f"import os, signal; open({str(pid_file)!r}, 'w').write(str(os.getpid())); signal.pause()"
    harness = (
        "import sys\nfrom tests.bench.processes import none_left_behind, seconds_of\n"
        f"with none_left_behind(): seconds_of([sys.executable, '-c', {command!r}])"
    )
    process = subprocess.Popen([*PYTHON, harness], cwd=REPOSITORY)
    pid = wait_for_pid(pid_file)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    assert ends(pid)


def wait_for_pid(file: Path) -> int:
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline
    return int(file.read_text())


def ends(pid: int) -> bool:
    """Whether ``pid`` ends: a signal is on its way when kill() returns. A zombie has ended already."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
    return False
