"""Jobs over shared disks that are reached by iSCSI: four nodes, each of which reads those of all others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from blfs_mr.generate import generate_records
from blfs_mr.lab.plan import LabPlan
from tests.integration.harness import EXAMPLES, WORDCOUNT, Stage, lines_of, parts_of
from tests.lab.labs import READ, WRITTEN, sectors, submit

pytestmark = pytest.mark.root


def test_words_are_counted_as_they_are_without_a_cluster(lab: LabPlan, stage: Stage, tmp_path: Path) -> None:
    words = [f"word{number % 701}" for number in range(40_000)]
    source = tmp_path / "words.txt"
    source.write_text("".join(f"{' '.join(words[at : at + 10])}\n" for at in range(0, len(words), 10)))
    read, written = (sectors(lab, field, by_owners=False) for field in (READ, WRITTEN))
    ended = submit(
        lab, stage, WORDCOUNT, source, "--split-size", "32KiB", "--reducers", "4", "-o", tmp_path / "out"
    )
    assert ended.code == 0, ended.stderr
    expected = sorted(f"{word}\t{count}\n".encode() for word, count in Counter(words).items())
    assert lines_of(tmp_path / "out") == expected
    assert sectors(lab, READ, by_owners=False) > read
    assert sectors(lab, WRITTEN, by_owners=False) == written


def test_records_are_sorted_in_one_order_over_all_parts(lab: LabPlan, stage: Stage, tmp_path: Path) -> None:
    source = tmp_path / "records"
    generate_records(source, 4 << 20)
    ended = submit(
        lab, stage, EXAMPLES / "distributed_sort.py", source, "--split-size", "512KiB", "--reducers", "4",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    records = source.read_bytes()
    expected = sorted(records[at : at + 100] for at in range(0, len(records), 100))
    assert b"".join(parts_of(tmp_path / "out")) == b"".join(expected)


def test_peers_cannot_write(lab: LabPlan) -> None:
    for attachment in lab.attachments():
        if attachment.node != attachment.owner:
            # Root may open it all the same, but not write.
            with (
                open(attachment.device, "r+b", buffering=0) as device,
                pytest.raises(OSError, match=r"Read-only|not permitted|denied"),
            ):
                device.write(bytes(4096))
