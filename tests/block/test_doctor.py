"""The volume doctor on real devices: a path in order passes, and each way of breaking it is found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blfs_mr.model import VolumeLayout
from blfs_mr.volume.attach import AttachRole, attach
from blfs_mr.volume.canary import CANARY_SIZE, canary_offset
from blfs_mr.volume.devices import is_device_read_only
from blfs_mr.volume.doctor.conversation import side_arguments
from blfs_mr.volume.layout import OwnedVolume
from blfs_mr.volume.superblock import TableEntry, pack_superblock, pack_table, table_digest
from blfs_mr.volume.superblock_pages import read_pages, read_superblock, write_pages
from blfs_mr.volume.verify import verify_volume
from tests.block.disks import FILES, Disk, a_disk, free, loop, tool
from tests.unit.volume.test_conformance import read_run, write_run

pytestmark = pytest.mark.root

ROUNDS = "100"


def doctor(disk: Disk, *more: str, peer: str = "") -> tuple[int, dict[str, Any], str]:
    """Exit code, what was printed as JSON, and the complaint."""
    command = [sys.executable, "-m", "blfs_mr.cli", "volume", "doctor", "--json", "--rounds", ROUNDS]
    command += ["--owner-device", disk.owner, "--peer-device", peer or disk.peer]
    if disk.layout is VolumeLayout.FILE:
        command += ["--owner-mount", disk.mount, "--peer-mount", disk.peer_mount]
    ran = subprocess.run([*command, *more], capture_output=True, text=True, timeout=300, check=False)
    return ran.returncode, json.loads(ran.stdout or "{}"), ran.stderr


def verdicts(told: dict[str, Any]) -> dict[int, str]:
    return {line["line"]: line["verdict"] for line in told["lines"]}


def line(told: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = told["lines"][number - 1]
    return found


def test_a_path_in_order_passes_and_is_described(attached: Disk) -> None:
    code, told, complaint = doctor(attached)
    assert code == 0, complaint
    found = verdicts(told)
    assert {found[number] for number in (1, 2, 4, 5)} == {"ok"}
    assert found[3] in ("ok", "could not be verified")
    assert {found[number] for number in (6, 7, 8)} == {"could not be verified"}
    peer = told["peers"][attached.peer]
    assert (peer["deeds"]["rounds"], peer["deeds"]["wrong"]) == (int(ROUNDS), {})
    assert peer["deeds"]["writing"] == "refused"
    assert peer["deeds"]["latency"]["median"] > 0
    assert peer["deeds"]["bandwidth"] > 0
    assert peer["path"]["read_only"]
    assert peer["path"]["logical_block_size"] == 512
    assert told["owner"]["deeds"]["publishing"]["median"] > 0
    assert attached.sectors_that_the_peer_wrote() == 0


def test_text_tells_the_same(raw: Disk) -> None:
    raw.format()
    attach(raw.peer, "", AttachRole.PEER)
    arguments = ["--owner-device", raw.owner, "--peer-device", raw.peer, "--rounds", "20"]
    text = tool(sys.executable, "-m", "blfs_mr.cli", "volume", "doctor", *arguments)
    assert "2 one writer              ok" in text
    assert "wrong reads            0 of 20" in text


def test_a_volume_in_service_is_not_disturbed(attached: Disk, owned: OwnedVolume) -> None:
    published = [
        write_run(owned, file, 1, file.path.encode() + b"!" * 9_000) for file in owned.shared_files()
    ]
    pages = read_pages(attached.own.place, 0, 3)
    code, _, complaint = doctor(attached)
    assert code == 0, complaint
    assert read_pages(attached.own.place, 0, 3) == pages
    for run in published:
        assert read_run(owned, run) == run.lease.shared_file.path.encode() + b"!" * 9_000
    result = verify_volume(attached.peers)
    assert (result.findings, result.written) == ([], FILES)


@pytest.fixture
def stale(raw: Disk) -> Iterator[Disk]:
    """A disk whose peer reads it through the page cache of another device, as a fileio target serves it."""
    raw.format()
    device = loop(raw.peer, direct=False)
    try:
        attach(raw.owner, "", AttachRole.OWNER)
        attach(device, "", AttachRole.PEER)
        yield Disk(raw.image, raw.kind, raw.owner, device, "", "", 0)
    finally:
        free(device)


def test_a_path_with_a_cache_of_its_own_is_found(stale: Disk) -> None:
    code, told, complaint = doctor(stale)
    assert code == 1
    assert "line 4" in complaint
    assert line(told, 4)["verdict"] == "broken"
    assert "the bytes of " in line(told, 4)["reasons"][0]
    assert "--direct-io=on" in line(told, 4)["remedies"][0]
    assert line(told, 3)["verdict"] == "could not be verified"


def test_a_peer_that_can_write_is_found_and_has_changed_nothing(attached: Disk) -> None:
    tool("blockdev", "--setrw", attached.peer)
    before = attached.image.read_bytes()
    code, told, complaint = doctor(attached, "--rounds", "1")
    assert code == 1
    assert "line 2" in complaint
    assert told["peers"][attached.peer]["deeds"]["writing"] == "written"
    assert "write_protect=1" in " ".join(line(told, 2)["remedies"])
    assert attached.sectors_that_the_peer_wrote() == 8
    if attached.kind == "raw":
        cell = canary_offset(FILES)
        rest = attached.image.read_bytes()
        assert rest[:cell] == before[:cell]
        assert rest[cell + CANARY_SIZE :] == before[cell + CANARY_SIZE :]


def test_a_disk_that_only_the_peer_s_host_protects_is_found_on_request(raw: Disk) -> None:
    raw.format()
    attach(raw.peer, "", AttachRole.PEER)
    code, told, _ = doctor(raw, "--try-target")
    assert code == 1
    assert told["peers"][raw.peer]["deeds"]["writing"] == "written"
    assert is_device_read_only(raw.peer), "the peer's own protection is back"


def test_nothing_is_written_where_two_mounts_write(files: Disk) -> None:
    tool(
        "mount",
        "-t",
        files.kind,
        *(["-o", "nouuid"] if files.kind == "xfs" else []),
        files.peer,
        files.peer_mount,
    )
    canary = read_pages(files.own.place, 0, 3 + CANARY_SIZE // 4096)
    code, told, _ = doctor(files)
    assert code == 1
    assert line(told, 2)["verdict"] == "broken"
    assert told["owner"]["deeds"] is None
    assert "is mounted read-write" in " ".join(line(told, 2)["reasons"])
    assert read_pages(files.own.place, 0, 3 + CANARY_SIZE // 4096) == canary


def test_a_peer_that_is_not_attached_is_told_and_the_others_examined(files: Disk) -> None:
    code, told, complaint = doctor(files)
    assert code == 1, complaint
    assert "nothing is mounted at" in line(told, 1)["reasons"][0]
    assert "blfs-mr volume attach" in line(told, 1)["remedies"][0]


def test_another_volume_at_the_peer_is_told(raw: Disk, tmp_path: Path) -> None:
    raw.format()
    with a_disk(tmp_path / "other", "raw") as other:
        other.format()
        attach(other.peer, "", AttachRole.PEER)
        code, told, _ = doctor(raw, peer=other.peer)
    assert code == 1
    assert "leads to volume" in line(told, 5)["reasons"][0]


def test_a_device_that_is_not_there_is_told_on_either_side(raw: Disk) -> None:
    raw.format()
    attach(raw.peer, "", AttachRole.PEER)
    code, told, complaint = doctor(raw, peer="/dev/nowhere")
    assert code == 1
    assert "line 4" in complaint
    assert "/dev/nowhere does not exist" in line(told, 4)["reasons"][0]
    ran = subprocess.run(
        [sys.executable, "-m", "blfs_mr.cli", "volume", "doctor", "--owner-device", "/dev/nowhere",
         "--peer-device", raw.peer],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "/dev/nowhere does not exist" in ran.stdout
    assert ran.stderr.startswith("error: the consistency contract is broken here (line 4)")


def test_a_volume_without_a_canary_cannot_be_examined_and_is_not_called_broken(raw: Disk) -> None:
    raw.format()
    # As it was before there was a canary: the first extent right behind the table.

    superblock, entries = read_superblock(raw.owner)
    entries = (TableEntry(entries[0].name, canary_offset(FILES), entries[0].size), *entries[1:])
    table = pack_table(superblock.volume, entries)
    write_pages(raw.owner, 2, table)
    write_pages(raw.owner, 0, pack_superblock(replace(superblock, table_digest=table_digest(table))))
    attach(raw.peer, "", AttachRole.PEER)
    data = read_pages(raw.owner, 3, 8)
    code, told, complaint = doctor(raw)
    assert code == 1
    assert "has no canary area" in complaint
    assert "broken" not in verdicts(told).values()
    assert read_pages(raw.owner, 3, 8) == data


def test_two_doctors_do_not_examine_one_volume_at_once(raw: Disk) -> None:
    raw.format()
    attach(raw.peer, "", AttachRole.PEER)
    first = subprocess.Popen(
        [sys.executable, "-m", "blfs_mr.cli", *side_arguments("owner", raw.own, rounds=1)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert first.stdout is not None
        assert b"introduction" in first.stdout.readline()
        code, _, complaint = doctor(raw)
        assert code == 1
        assert "another doctor examines" in complaint
    finally:
        first.communicate(timeout=60)


def test_a_side_that_is_left_alone_ends_with_the_reason(raw: Disk) -> None:
    raw.format()
    for role in ("owner", "peer"):
        command = [sys.executable, "-m", "blfs_mr.cli", *side_arguments(role, raw.own)]
        ran = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 1
        assert ran.stderr.startswith("error: the examination was given up")


def test_peers_examine_a_disk_at_the_same_time(raw: Disk) -> None:
    raw.format()
    another = loop(raw.image)
    try:
        attach(raw.peer, "", AttachRole.PEER)
        attach(another, "", AttachRole.PEER)
        code, told, complaint = doctor(raw, "--peer-device", another)
        assert code == 0, complaint
        assert {name: peer["deeds"]["rounds"] for name, peer in told["peers"].items()} == {
            raw.peer: int(ROUNDS),
            another: int(ROUNDS),
        }
    finally:
        free(another)
