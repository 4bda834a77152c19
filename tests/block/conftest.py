"""Fixtures: disks of every kind; without root and loop devices their tests are skipped with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blfs_mr.lab.coherence_observation import host_caches
from blfs_mr.volume.attach import AttachRole, attach
from blfs_mr.volume.layout import OwnedVolume
from blfs_mr.volume.owned import OwnedBlockVolume
from tests.block.disks import KINDS, OWNER, Disk, a_disk, why_not


@pytest.fixture
def loops() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture
def kept_caches(loops: None) -> Iterator[None]:
    """No other test drops this host's caches meanwhile."""
    with host_caches():
        yield


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path, loops: None) -> Iterator[Disk]:
    """A disk of each kind, formatted, attached nowhere."""
    with a_disk(tmp_path / "disk", request.param) as disk:
        disk.format()
        yield disk


@pytest.fixture
def attached(disk: Disk) -> Disk:
    """A disk of each kind, attached by owner and peer."""
    attach(disk.owner, disk.own.root, AttachRole.OWNER)
    attach(disk.peer, disk.peers.root, AttachRole.PEER)
    return disk


@pytest.fixture(params=["ext4", "xfs"])
def files(request: pytest.FixtureRequest, tmp_path: Path, loops: None) -> Iterator[Disk]:
    """A disk in the file layout, formatted and attached by its owner only."""
    with a_disk(tmp_path / "files", request.param) as disk:
        disk.format()
        attach(disk.owner, disk.mount, AttachRole.OWNER)
        yield disk


@pytest.fixture
def ext4(tmp_path: Path, loops: None) -> Iterator[Disk]:
    """A disk for ext4 on which nothing is written yet."""
    with a_disk(tmp_path / "ext4", "ext4") as disk:
        yield disk


@pytest.fixture
def raw(tmp_path: Path, loops: None) -> Iterator[Disk]:
    """A disk for the raw layout on which nothing is written yet."""
    with a_disk(tmp_path / "raw", "raw") as disk:
        yield disk


@pytest.fixture
def reopen(attached: Disk) -> Callable[[], OwnedVolume]:
    own = attached.own
    return lambda: OwnedBlockVolume.open_as_owner(own.layout, own.root, own.device, OWNER)


@pytest.fixture
def owned(reopen: Callable[[], OwnedVolume]) -> Iterator[OwnedVolume]:
    volume = reopen()
    yield volume
    volume.close()
