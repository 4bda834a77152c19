"""The command tree, its exit codes, and what it must not load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from blfs_mr import __version__
from blfs_mr.cli import BLFS_MR
from blfs_mr.console import run
from blfs_mr.errors import ConfigError, CorruptData, JobFailed, JobFileError

Output = pytest.CaptureFixture[str]


def status(command: click.Command, *arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run(command, "blfs-mr", arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def command_that(act: Callable[[], object]) -> click.Command:
    return click.Command("act", callback=act)


def command_that_raises(error: BaseException) -> click.Command:
    def act() -> None:
        raise error

    return command_that(act)


def test_version_prints_the_version(capsys: Output) -> None:
    assert status(BLFS_MR, "version") == 0
    assert capsys.readouterr().out == f"blfs-mr {__version__}\n"


def test_version_loads_nothing_that_only_other_commands_need() -> None:
    program = "import sys, blfs_mr.cli\ntry: blfs_mr.cli.main()\nexcept SystemExit: print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program, "version"], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    assert "blfs_mr.cli.version" in loaded
    assert not loaded & {"asyncio", "pydantic", "asyncssh", "tqdm", "blfs_mr.submit", "blfs_mr.generate"}


def test_a_broken_family_does_not_break_the_others(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blfs_mr.cli.input", None)
    assert status(BLFS_MR, "version") == 0
    with pytest.raises(ImportError):
        run(BLFS_MR, "blfs-mr", ["input", "generate"])


@pytest.mark.parametrize("arguments", [["--help"], ["input", "--help"], ["input", "generate", "--help"]])
def test_help_of_every_level_is_a_success(capsys: Output, arguments: list[str]) -> None:
    assert status(BLFS_MR, *arguments) == 0
    assert capsys.readouterr().out.startswith("Usage: blfs-mr")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["input"], ["version", "--nonsense"]])
def test_a_command_that_is_none_exits_2_with_its_usage(capsys: Output, arguments: list[str]) -> None:
    assert status(BLFS_MR, *arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("Usage: blfs-mr")
    assert "\nerror: " in told


def test_input_generate_writes_the_text_of_its_options(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "text"
    options = ["--vocabulary", "3", "--words-per-line", "2", "--seed", "5"]
    assert status(BLFS_MR, "input", "generate", str(path), "2KiB", *options) == 0
    assert capsys.readouterr().out == f"{path}: {path.stat().st_size} bytes\n"
    assert len(set(path.read_text().split())) == 3
    assert len(path.read_text().splitlines()[0].split()) == 2


def test_input_generate_writes_records_to_sort(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "records"
    assert status(BLFS_MR, "input", "generate", "--kind", "records", str(path), "1KiB") == 0
    assert capsys.readouterr().out == f"{path}: 1000 bytes\n"
    assert path.stat().st_size == 1000


def test_input_generate_refuses_an_existing_file_unless_forced(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "text"
    path.touch()
    assert status(BLFS_MR, "input", "generate", str(path), "1KiB") == 2
    assert capsys.readouterr().err.startswith(f"error: {path} exists already")
    assert path.stat().st_size == 0
    assert status(BLFS_MR, "input", "generate", str(path), "1KiB", "--force") == 0
    assert path.stat().st_size > 0


def test_a_size_that_is_none_is_told_with_the_reason(tmp_path: Path, capsys: Output) -> None:
    assert status(BLFS_MR, "input", "generate", str(tmp_path / "text"), "12parsecs") == 2
    assert "'12parsecs' has an unknown unit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("why"), 2), (JobFailed("why"), 1), (CorruptData("why"), 1)]
)
def test_an_error_of_ours_is_one_line_and_its_exit_code(capsys: Output, error: Exception, code: int) -> None:
    assert status(command_that_raises(error)) == code
    assert capsys.readouterr().err == "error: why\n"


def test_the_users_traceback_stands_before_the_error(capsys: Output) -> None:
    error = JobFileError("job.py cannot be loaded", traceback='  File "job.py", line 1\n')
    assert status(command_that_raises(error)) == 2
    assert capsys.readouterr().err == '  File "job.py", line 1\nerror: job.py cannot be loaded\n'


def test_an_interrupt_exits_130_and_shows_no_traceback(capsys: Output) -> None:
    assert status(command_that_raises(KeyboardInterrupt())) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(command_that(lambda: 1 / 0), "blfs-mr", [])


def test_what_a_command_returns_as_a_number_is_its_exit_code() -> None:
    assert status(command_that(lambda: 3)) == 3
    assert status(command_that(lambda: None)) == 0
