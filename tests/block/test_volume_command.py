"""``blfs-mr volume`` from format to detach, and what it says when it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.cli import BLFS_MR
from blfs_mr.console import run
from blfs_mr.volume.opening import open_own
from tests.block.disks import KINDS, OWNER, Disk, a_disk, tool

pytestmark = pytest.mark.root

Output = pytest.CaptureFixture[str]


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run(BLFS_MR, "blfs-mr", ["volume", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize("kind", KINDS)
def test_a_volume_s_whole_life(kind: str, tmp_path: Path, capsys: Output, loops: None) -> None:
    with a_disk(tmp_path / "disk", kind) as disk:
        layout = ["--layout", "raw"] if kind == "raw" else ["--layout", "file", "--fs", kind]
        figures = ["--count", "3", "--size", "64KiB"]
        assert status("format", disk.owner, *layout, "--owner", "alpha", *figures) == 0
        assert "of alpha, 3 shared files of together 192KiB" in capsys.readouterr().out

        own = ["--device", disk.owner, *(["--mount", disk.mount] if kind != "raw" else [])]
        peer = ["--device", disk.peer, *(["--mount", disk.peer_mount] if kind != "raw" else [])]
        assert status("verify", disk.owner) == 0
        assert "sound; 0 shared files were written to, 3 are blank" in capsys.readouterr().out
        assert status("attach", *own, "--role", "owner") == 0
        assert status("attach", *peer, "--role", "peer") == 0

        volume = open_own(disk.layout, disk.own.root, disk.owner, OWNER)
        capsys.readouterr()
        for place in {disk.peer, disk.peers.root or disk.peer}:
            assert status("show", place) == 0
            told = capsys.readouterr().out
            assert f"volume     {volume.access.volume}" in told
            assert "in use     by process" in told
            assert told.count("never published") == 3
        volume.close()

        for options in (own, peer, own):
            assert status("detach", *options) == 0
        assert disk.mounts() == []


def test_a_list_of_shared_files_is_taken(raw: Disk, tmp_path: Path, capsys: Output) -> None:
    listing = tmp_path / "sharedfiles"
    listing.write_text("shfile00:2M\nshfile01:1M\n")
    command = ["format", raw.owner, "--layout", "raw", "--owner", "alpha", "--sharedfiles", str(listing)]
    assert status(*command, "--count", "3") == 2
    assert "--sharedfiles stands instead of" in capsys.readouterr().err
    assert status(*command) == 0
    assert status("show", raw.owner) == 0
    assert "shfile01  1MiB  never published" in capsys.readouterr().out


def test_what_is_wrong_is_told_line_by_line_and_fails(files: Disk, capsys: Output) -> None:
    Path(files.mount, "shared-00001").unlink()
    assert status("verify", files.mount) == 1
    told = capsys.readouterr()
    assert "shared file shared-00001 is missing (contract line 1, frozen metadata): format" in told.out
    assert "breaches of the contract" in told.err


def test_refusals_are_one_line_with_the_remedy(
    files: Disk, raw: Disk, tmp_path: Path, capsys: Output
) -> None:
    tool("mkfs.ext4", "-q", raw.owner)
    for arguments, expected in (
        (["format", raw.owner, "--layout", "raw", "--owner", "a"], "--force destroys it"),
        (["format", files.owner, "--layout", "raw", "--owner", "a", "--force"], "unmount it"),
        (["attach", "--device", "/dev/nowhere", "--role", "peer"], "is this host logged in"),
        (["show", str(tmp_path)], "no block device is mounted at"),
        (["show", str(tmp_path / "nothing")], "does not exist"),
        (["verify", raw.owner], "does not exist"),
    ):
        assert status(*arguments) == 1
        told = capsys.readouterr().err
        assert told.startswith("error: ")
        assert expected in told
        assert told.count("\n") == 1


def test_taking_over_is_for_owners(files: Disk, capsys: Output) -> None:
    attach = ["attach", "--device", files.owner, "--mount", files.mount, "--take-over"]
    assert status(*attach, "--role", "peer") == 2
    assert status(*attach, "--role", "owner") == 0
    assert "the claim of nobody is ended" in capsys.readouterr().out
