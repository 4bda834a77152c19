"""The facts behind the contract hold on the machine that tests it, and breaking a line of it shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blfs_mr.cli import BLFS_MR
from blfs_mr.console import run
from blfs_mr.volume.devices import is_device_read_only
from tests.block.disks import Disk, free, loop, tool

pytestmark = pytest.mark.root

BROKEN = [
    "buffered read",
    "no flush",
    "file flush only",
    "both flushes",
    "truncating rewrite",
    "new file",
    "new file, device cache dropped",
    "new file, names dropped",
    "new file, all caches dropped",
    "new file, everything dropped",
    "allocated file",
    "plain ro",
    "noload",
    "orphan",
    "orphan, protected",
]
CONTRACT = ["contract, ext4", "contract, xfs", "contract, raw"]


def coherence(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, what was printed, and the complaint."""
    with pytest.raises(SystemExit) as ended:
        run(BLFS_MR, "blfs-mr", ["lab", "coherence", *arguments])
    told = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, told.out, told.err


def test_the_contract_is_never_stale_and_each_breach_of_it_shows(
    loops: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, complaint = coherence(capsys, "--json", "--rounds", "300")
    told = json.loads(out)
    assert [seen for seen in told["experiments"] if not seen["as_expected"]] == []
    assert code == 0, complaint
    contract = [name for name in CONTRACT if name not in told["left_out"]]
    assert [seen["name"] for seen in told["experiments"]] == BROKEN + contract
    assert all(seen["did"] and seen["saw"] and seen["expected"] for seen in told["experiments"])
    assert all("0 stale reads in 300 rounds" in seen["saw"] for seen in told["experiments"][len(BROKEN) :])
    assert told["versions"]["kernel"].startswith("Linux ")
    assert told["versions"]["mkfs.ext4"]


def test_given_devices_are_used_and_left_protected(ext4: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    devices = ["--owner-device", ext4.owner, "--peer-device", ext4.peer]
    code, out, complaint = coherence(capsys, *devices, "--rounds", "20")
    assert code == 0, complaint
    assert f"on {ext4.owner} and {ext4.peer}; kernel Linux" in out
    assert "left out: contract, xfs: " in out
    assert out.count("0 stale reads in 20 rounds") == 2
    assert ext4.mounts() == []
    assert is_device_read_only(ext4.peer)
    code, out, complaint = coherence(capsys, *devices)
    assert code == 1
    assert "holds a volume of blfs-mr in the raw layout: --force destroys it" in complaint


class TestDevicesAreRefused:
    def test_that_are_not_two(self, raw: Disk, capsys: pytest.CaptureFixture[str]) -> None:
        _, _, complaint = coherence(capsys, "--owner-device", raw.owner, "--peer-device", raw.owner)
        assert "are one device" in complaint
        _, _, complaint = coherence(capsys, "--owner-device", raw.owner)
        assert "or neither" in complaint

    def test_that_are_too_small(self, raw: Disk, capsys: pytest.CaptureFixture[str]) -> None:
        _, _, complaint = coherence(capsys, "--owner-device", raw.owner, "--peer-device", raw.peer)
        assert "the experiments need" in complaint

    def test_that_are_in_use(self, files: Disk, capsys: pytest.CaptureFixture[str]) -> None:
        _, _, complaint = coherence(
            capsys, "--owner-device", files.owner, "--peer-device", files.peer, "--force"
        )
        assert "is in use: it is mounted at" in complaint
        tool("umount", files.mount)
        tool("blockdev", "--setro", files.peer)
        attached = "ro,noload" if files.kind == "ext4" else "ro,norecovery"
        tool("mount", "-o", attached, files.peer, files.peer_mount)
        _, _, complaint = coherence(
            capsys, "--owner-device", files.owner, "--peer-device", files.peer, "--force"
        )
        assert "is in use: it is mounted at" in complaint

    def test_that_are_two_disks(self, ext4: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        image = tmp_path / "other.image"
        with image.open("wb") as file:
            file.truncate(48 << 20)
        other = loop(image)
        try:
            _, _, complaint = coherence(capsys, "--owner-device", ext4.owner, "--peer-device", other)
            assert "they are two disks, or something between them serves a cache" in complaint
        finally:
            free(other)
