"""What a peer reads through its device while the owner writes through another: always what was published."""

from __future__ import annotations

import os

import pytest

from blfs_mr.linux import AlignedBuffer, read_exactly
from blfs_mr.model import PeerVolume, SharedFile
from blfs_mr.volume.layout import OwnedVolume, Volume, open_volume
from blfs_mr.volume.opening import open_peer
from tests.block.disks import OWNER, Disk
from tests.unit.volume.test_conformance import read_run, write_run

pytestmark = pytest.mark.root

ROUNDS = 200


@pytest.fixture
def peer(attached: Disk, owned: OwnedVolume) -> Volume:
    access, findings = open_peer(PeerVolume(OWNER, attached.peer, attached.peers.root))
    assert access is not None, findings
    assert access.volume == owned.access.volume
    return open_volume(access)


def test_a_peer_never_reads_an_earlier_run(owned: OwnedVolume, peer: Volume) -> None:
    files = owned.shared_files()
    for generation in range(1, ROUNDS + 1):
        payload = generation.to_bytes(4, "big") * 2_000
        published = write_run(owned, files[generation % len(files)], generation, payload)
        assert read_run(peer, published) == payload


def test_a_peer_reads_fresh_through_a_descriptor_that_it_kept(owned: OwnedVolume, peer: Volume) -> None:
    file = owned.shared_files()[0]
    kept = peer.open_for_read(file)
    for generation in (1, 2, 3):
        write_run(owned, file, generation, b"x" * generation)
        again = owned.open_for_read(file)
        assert header(kept, file) == header(again, file)
        os.close(again)
    os.close(kept)


def test_a_peer_cannot_write(attached: Disk, owned: OwnedVolume, peer: Volume) -> None:
    file = owned.shared_files()[0]
    with pytest.raises(OSError, match=r"Read-only file system|not permitted"):
        write_run(peer, file, 1, b"x")
    assert attached.sectors_that_the_peer_wrote() == 0


def test_files_are_flushed_before_the_device_and_both_before_a_run_is_published(
    owned: OwnedVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    file = owned.shared_files()[0]
    write_run(owned, file, 1, b"x")
    access = owned.access
    assert flushed == [os.path.join(access.root, file.path) if file.path else access.device, access.device]


def header(fd: int, file: SharedFile) -> bytes:
    with AlignedBuffer(4096) as buffer, buffer.view() as view:
        assert read_exactly(fd, view, file.offset) == 4096
        return bytes(view)
