"""Sampling keys: what user code does in the child reaches nobody but as keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.model import InputSplit
from blfs_mr.taskrun import sampling
from blfs_mr.taskrun.sampling import MOST_SPLITS, sample_keys
from tests.unit.taskrun.conftest import load

WORDS = """
class Words(Job):
    def map(self, record):
        for word in record.split(): yield word, 1
    def reduce(self, key, values): yield key, sum(values)
"""


def _sample(tmp_path: Path, source: str, *texts: str) -> list[object]:
    splits = []
    for number, text in enumerate(texts):
        path = tmp_path / f"input-{number}"
        path.write_text(text)
        splits.append(InputSplit(str(path), 0, len(text)))
    return sample_keys(load(source).job_class, {}, splits, "lines")


def test_the_keys_of_all_splits_come_back_with_their_types(tmp_path: Path) -> None:
    source = WORDS.replace("yield word, 1", "yield (word, len(word), None), 1")
    assert sorted(_sample(tmp_path, source, "a bb\n", "ccc\n")) == [  # type: ignore[type-var]
        ("a", 1, None),
        ("bb", 2, None),
        ("ccc", 3, None),
    ]


def test_setup_params_and_the_split_are_there_as_in_a_task(tmp_path: Path) -> None:
    source = """
        from blfs_mr import Param
        class Whole(Job):
            prefix = Param(str, default="p")
            def setup(self): self.seen = self.prefix
            def map_split(self, split):
                for line in split.lines(): yield f"{self.seen}-{self.source}-{line}", 1
            def reduce(self, key, values): pass
        """
    assert _sample(tmp_path, source, "x\n") == ["p-0-x"]


def test_splits_are_looked_into_evenly(tmp_path: Path) -> None:
    keys = _sample(tmp_path, WORDS, *(f"w{number:03d}" for number in range(100)))
    assert len(keys) == MOST_SPLITS
    assert keys[0] == "w000"
    assert keys[16] == "w050"
    assert keys[-1] == "w096"


def test_only_the_beginning_of_a_split_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SPLIT_BYTES", 10)
    assert _sample(tmp_path, WORDS, "aaaa\nbbbb\n" + "cccc\n" * 1000) == ["aaaa", "bbbb"]


def test_keys_are_bounded_in_number_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = """
        class Endless(Job):
            def map(self, record):
                number = 0
                while True: yield f"{record}{(number := number + 1)}", 1
            def reduce(self, key, values): pass
        """
    assert len(_sample(tmp_path, endless, "x\n")) == sampling.KEYS_OF_A_SPLIT
    monkeypatch.setattr(sampling, "MOST_BYTES", 100_000)
    assert len(_sample(tmp_path, endless, *["x" * 100 + "\n"] * 10)) < 10 * sampling.KEYS_OF_A_SPLIT


def test_what_fails_gives_the_keys_that_came_before(tmp_path: Path) -> None:
    source = WORDS.replace("for word", "assert 'bad' not in record\n        for word")
    assert _sample(tmp_path, source, "good\n", "bad\n", "never\n") == ["good"]


@pytest.mark.parametrize(
    "body",
    ["raise SystemExit(3)", "os._exit(1)", "os.kill(os.getpid(), 9)", "yield [], 1", "return 5", "yield 1"],
)
def test_user_code_that_ends_or_yields_nonsense_gives_nothing(tmp_path: Path, body: str) -> None:
    source = f"""
        import os
        class Bad(Job):
            def map(self, record): {body}
            def reduce(self, key, values): pass
        """
    assert _sample(tmp_path, source, "x\n") == []


def test_a_child_that_hangs_is_killed_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MOST_SECONDS", 0.2)
    source = WORDS.replace("for word", "if record == 'hang': import time; time.sleep(600)\n        for word")
    before = _children()
    assert _sample(tmp_path, source, "first\n", "hang\n") in (["first"], [])
    assert _children() <= before


def _children() -> set[str]:
    """The children of this process, dead ones that nobody has waited for too."""
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = WORDS.replace("for word", "print('noise', flush=True)\n        for word")
    assert _sample(tmp_path, source, "a\n") == ["a"]
    assert capfd.readouterr() == ("", "")


def test_no_splits_give_no_keys(tmp_path: Path) -> None:
    assert _sample(tmp_path, WORDS) == []
