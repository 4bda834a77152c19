"""Each line of the contract that a look can find broken, broken on purpose and seen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blfs_mr.errors import VolumeBusy, VolumeError
from blfs_mr.linux import process_start
from blfs_mr.model import PeerVolume, VolumeLayout, WorkerName
from blfs_mr.volume.attach import AttachRole, attach, detach
from blfs_mr.volume.claims import new_claim
from blfs_mr.volume.contract import ContractLine, VolumePlace
from blfs_mr.volume.format import format_volume
from blfs_mr.volume.layout import OwnedVolume, open_volume
from blfs_mr.volume.opening import open_own, open_peer
from blfs_mr.volume.superblock import Claim
from blfs_mr.volume.superblock_pages import read_claim, read_pages, read_superblock, write_claim, write_pages
from blfs_mr.volume.verify import check_own_volume, check_peer_volume
from tests.block.disks import FILES, OWNER, SIZE, Disk, tool

pytestmark = pytest.mark.root

BETA = WorkerName("beta")


def broken(place: VolumePlace, line: ContractLine, part: str, *, owner: WorkerName = OWNER) -> None:
    """The own volume at ``place`` breaks exactly ``line``, which is told with ``part`` and keeps it shut."""
    findings = check_own_volume(place, owner, FILES, SIZE)
    assert [finding.line for finding in findings] == [line], [str(finding) for finding in findings]
    assert part in findings[0].problem
    assert findings[0].remedy
    with pytest.raises(VolumeError) as refused:
        open_own(place.layout, place.root, place.device, owner, FILES, SIZE)
    assert part in str(refused.value)
    assert f"contract line {line.number}" in str(refused.value)


def broken_for_peers(disk: Disk, line: ContractLine, part: str, *, owner: WorkerName = OWNER) -> None:
    findings = check_peer_volume(disk.peers, owner)
    assert [finding.line for finding in findings] == [line], [str(finding) for finding in findings]
    assert part in findings[0].problem
    assert findings[0].remedy
    assert open_peer(PeerVolume(owner, disk.peers.device, disk.peers.root)) == (None, findings)


def mount_peer(disk: Disk, options: str) -> None:
    tool("mount", "-t", disk.kind, "-o", options, disk.peer, disk.peer_mount)


def damage(place: str, change: Callable[[bytearray], None]) -> None:
    page = bytearray(read_pages(place, 0, 1))
    change(page)
    write_pages(place, 0, bytes(page))


class TestAVolumeInOrder:
    def test_has_no_findings(self, attached: Disk) -> None:
        assert check_own_volume(attached.own, OWNER, FILES, SIZE) == ()
        assert check_peer_volume(attached.peers, OWNER) == ()

    def test_is_opened_by_its_owner_and_found_by_its_peers(self, attached: Disk) -> None:
        own = attached.own
        volume = open_own(own.layout, own.root, own.device, OWNER)
        seen = replace(volume.access, root=attached.peers.root or attached.peer, device=attached.peer)
        assert open_peer(PeerVolume(OWNER, attached.peer, attached.peers.root)) == (seen, ())
        volume.close()

    def test_may_have_any_geometry_where_nothing_is_configured(self, attached: Disk) -> None:
        assert check_own_volume(attached.own, OWNER) == ()


class TestFrozenMetadata:
    def test_a_missing_file(self, files: Disk) -> None:
        os.unlink(f"{files.mount}/shared-00001")
        broken(files.own, ContractLine.FROZEN_METADATA, "shared-00001 is missing")

    def test_a_file_that_was_only_allocated(self, files: Disk) -> None:
        path = f"{files.mount}/shared-00001"
        os.unlink(path)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(fd, 0, SIZE)
        os.close(fd)
        broken(files.own, ContractLine.FROZEN_METADATA, "shared-00001 has extents that are allocated but")

    def test_a_file_with_a_hole(self, files: Disk) -> None:
        path = f"{files.mount}/shared-00001"
        os.truncate(path, 0)
        os.truncate(path, SIZE)
        broken(files.own, ContractLine.FROZEN_METADATA, "shared-00001 has a hole at byte 0")

    def test_a_file_that_grew(self, files: Disk) -> None:
        os.truncate(f"{files.mount}/shared-00001", SIZE + 4096)
        broken(
            files.own, ContractLine.FROZEN_METADATA, f"has {SIZE + 4096} bytes where it was formatted with"
        )

    def test_many_faulty_files_are_told_by_the_first_few(self, ext4: Disk) -> None:
        format_volume(ext4.plan(count=8))
        attach(ext4.owner, ext4.mount, AttachRole.OWNER)
        for number in range(5):
            os.unlink(f"{ext4.mount}/shared-{number:05d}")
        findings = check_own_volume(ext4.own, OWNER)
        assert [f.problem for f in findings] == [
            "shared file shared-00000 is missing",
            "shared file shared-00001 is missing",
            "shared file shared-00002 is missing (and 2 more are at fault)",
        ]

    def test_a_file_that_was_made_later(self, files: Disk) -> None:
        Path(files.mount, "notes.txt").write_text("not mine")
        broken(files.own, ContractLine.FROZEN_METADATA, "notes.txt")

    def test_another_geometry_than_configured(self, attached: Disk) -> None:
        findings = check_own_volume(attached.own, OWNER, FILES + 1, SIZE)
        assert [f.line for f in findings] == [ContractLine.FROZEN_METADATA]
        assert f"has {FILES} shared files of 64KiB, the configuration says {FILES + 1} of 64KiB" in str(
            findings
        )
        assert "of 128KiB" in str(check_own_volume(attached.own, OWNER, FILES, 2 * SIZE))

    def test_nothing_mounted(self, files: Disk) -> None:
        detach(files.owner, files.mount)
        broken(files.own, ContractLine.FROZEN_METADATA, "nothing is mounted at")

    def test_another_device_mounted(self, files: Disk, raw: Disk) -> None:
        place = replace(files.own, device=raw.owner)
        broken(place, ContractLine.FROZEN_METADATA, "another device is mounted at")

    def test_a_mounted_raw_volume(self, files: Disk) -> None:
        broken(VolumePlace(VolumeLayout.RAW, files.owner), ContractLine.FROZEN_METADATA, "is mounted at")

    def test_data_in_the_journal(self, ext4: Disk) -> None:
        ext4.format()
        tool("mount", "-o", "data=journal", ext4.owner, ext4.mount)
        broken(ext4.own, ContractLine.FROZEN_METADATA, "data=journal")

    def test_a_raw_device_that_shrank(self, raw: Disk) -> None:
        raw.format()
        os.truncate(raw.image, (1 << 20) + SIZE)
        tool("losetup", "--set-capacity", raw.owner)
        broken(raw.own, ContractLine.FROZEN_METADATA, "it has shrunk")

    def test_a_file_is_never_written_beneath_a_mount_that_is_gone(self, files: Disk) -> None:
        volume = open_own(files.layout, files.mount, files.owner, OWNER)
        file, access = volume.shared_files()[0], volume.access
        volume.close()
        detach(files.owner, files.mount)
        Path(files.mount, file.path).write_bytes(bytes(SIZE))
        for opened in (open_volume(access).open_for_write, open_volume(access).open_for_read):
            with pytest.raises(VolumeError, match="is not a file on"):
                opened(file)


class TestOneWriter:
    def test_a_volume_of_another_worker(self, attached: Disk) -> None:
        broken(
            attached.own, ContractLine.ONE_WRITER, "is the volume of worker alpha, not of beta", owner=BETA
        )
        broken_for_peers(attached, ContractLine.ONE_WRITER, "is the volume of worker alpha", owner=BETA)

    def test_a_read_only_device_as_own_volume(self, attached: Disk) -> None:
        tool("blockdev", "--setro", attached.owner)
        findings = check_own_volume(attached.own, OWNER)
        assert "is read-only, and it is configured as this worker's own volume" in findings[0].problem
        with pytest.raises(VolumeError, match="contract line 2"):
            open_own(attached.layout, attached.own.root, attached.owner, OWNER)

    def test_an_own_volume_mounted_read_only(self, files: Disk) -> None:
        tool("mount", "-o", "remount,ro", files.mount)
        broken(files.own, ContractLine.ONE_WRITER, "is mounted ro")

    def test_a_second_owner_on_this_host(self, owned: OwnedVolume, reopen: Callable[[], OwnedVolume]) -> None:
        with pytest.raises(VolumeBusy):
            reopen()

    def test_a_second_owner_through_another_device_of_this_host(self, attached: Disk) -> None:
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            superblock, _ = read_superblock(attached.own.place)
            claim = replace(new_claim(attached.peer), process=other.pid, started=process_start(other.pid))
            write_claim(attached.own.place, superblock.volume, claim)
            broken(attached.own, ContractLine.ONE_WRITER, f"another owner, process {other.pid} of this host")
        finally:
            other.communicate(b"\n", timeout=20)
        assert check_own_volume(attached.own, OWNER) == ()

    def test_a_second_owner_on_another_host(self, attached: Disk) -> None:
        superblock, _ = read_superblock(attached.own.place)
        claim = Claim("11" * 8, "22" * 16, "33" * 16, "node-b", 4711, 99, 1)
        write_claim(attached.own.place, superblock.volume, claim)
        broken(attached.own, ContractLine.ONE_WRITER, "another owner, process 4711 on host node-b")
        attach(attached.owner, attached.own.root, AttachRole.OWNER, take_over=True)
        open_own(attached.layout, attached.own.root, attached.owner, OWNER).close()

    def test_two_mounts_that_write(self, files: Disk) -> None:
        mount_peer(files, "rw" if files.kind == "ext4" else "rw,nouuid")
        broken(files.own, ContractLine.ONE_WRITER, f"is mounted read-write at {files.peer_mount} as well")

    def test_a_device_that_a_peer_can_write(self, attached: Disk) -> None:
        tool("blockdev", "--setrw", attached.peer)
        broken_for_peers(attached, ContractLine.ONE_WRITER, "can be written here")

    def test_a_peer_that_mounted_read_write(self, files: Disk) -> None:
        mount_peer(files, "rw" if files.kind == "ext4" else "rw,nouuid")
        findings = [str(finding) for finding in check_peer_volume(files.peers, OWNER)]
        assert any("is mounted read-write" in finding for finding in findings)
        assert any("can be written here" in finding for finding in findings)

    def test_a_peer_that_mounted_plainly_read_only(self, files: Disk) -> None:
        detach(files.owner, files.mount)
        tool("blockdev", "--setro", files.peer)
        mount_peer(files, "ro")
        broken_for_peers(files, ContractLine.ONE_WRITER, "the kernel replays the journal")

    def test_the_claim_is_there_while_the_volume_is_open_and_gone_after(
        self, attached: Disk, owned: OwnedVolume
    ) -> None:
        place, volume = attached.peers.place, owned.access.volume
        assert read_claim(place, volume).process == os.getpid()
        owned.close()
        assert read_claim(place, volume).process == 0


class TestDirectReadsOnly:
    def test_a_device_that_is_not_there(self) -> None:
        place = VolumePlace(VolumeLayout.RAW, "/dev/nowhere")
        broken(place, ContractLine.DIRECT_READS, "/dev/nowhere does not exist")

    def test_a_file_instead_of_a_device(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        broken(
            VolumePlace(VolumeLayout.RAW, str(tmp_path / "file")),
            ContractLine.DIRECT_READS,
            "no block device",
        )

    def test_an_absent_peer_is_a_finding(self) -> None:
        access, findings = open_peer(PeerVolume(BETA, "/dev/nowhere"))
        assert access is None
        assert "does not exist" in str(findings[0])

    def test_a_peer_with_another_serial_number_than_expected(self, attached: Disk) -> None:
        _, findings = open_peer(PeerVolume(OWNER, attached.peer, attached.peers.root, serial="naa.5001"))
        assert "has the serial number (none), and that of alpha should be naa.5001" in findings[0].problem

    def test_peers_never_read_the_superblock_from_a_cache(self, attached: Disk, kept_caches: None) -> None:
        place = attached.peers.place
        fd = os.open(place, os.O_RDONLY)
        stale = os.pread(fd, 4096, 4096)
        superblock, _ = read_superblock(place)
        write_claim(attached.own.place, superblock.volume, new_claim(attached.owner))
        assert os.pread(fd, 4096, 4096) == stale, "the cache of the peer has become coherent: a weak test"
        os.close(fd)
        assert read_claim(place, superblock.volume).process == os.getpid()


class TestSelfDescribingBytes:
    def test_a_foreign_device(self, raw: Disk) -> None:
        broken(raw.own, ContractLine.SELF_DESCRIBING, "holds no volume of ours")

    def test_a_foreign_file_system(self, ext4: Disk) -> None:
        tool("mkfs.ext4", "-q", ext4.owner)
        tool("mount", ext4.owner, ext4.mount)
        broken(ext4.own, ContractLine.SELF_DESCRIBING, "does not exist")

    def test_a_newer_version(self, attached: Disk) -> None:
        damage(attached.own.place, lambda page: page.__setitem__(16, 2))
        broken(attached.own, ContractLine.SELF_DESCRIBING, "is a volume of format version 2")
        broken_for_peers(attached, ContractLine.SELF_DESCRIBING, "is a volume of format version 2")

    def test_a_damaged_superblock(self, attached: Disk) -> None:
        damage(attached.own.place, lambda page: page.__setitem__(100, page[100] ^ 1))
        broken(attached.own, ContractLine.SELF_DESCRIBING, "does not match its checksum")
        broken_for_peers(attached, ContractLine.SELF_DESCRIBING, "does not match its checksum")

    def test_a_damaged_table(self, attached: Disk) -> None:
        table = bytearray(read_pages(attached.own.place, 2, 1))
        table[70] ^= 1
        write_pages(attached.own.place, 2, bytes(table))
        broken(attached.own, ContractLine.SELF_DESCRIBING, "table of shared files is not the one")

    def test_the_superblock_of_another_layout(self, raw: Disk, files: Disk) -> None:
        raw.format()
        with raw.image.open("rb") as file:
            write_pages(files.own.place, 0, file.read(3 * 4096))
        broken(files.own, ContractLine.SELF_DESCRIBING, "is in the raw layout, not file")
