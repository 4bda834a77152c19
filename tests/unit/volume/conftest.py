"""The layouts that the conformance suite runs on: one maker each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.volume.directory import OwnedDirectoryVolume
from blfs_mr.volume.layout import OwnedVolume

OWNER = WorkerName("alpha")
FILES, SIZE = 3, 64 << 10


Made = tuple[OwnedVolume, Callable[[], OwnedVolume]]
"""A new volume of FILES files of SIZE bytes, and how its owner opens it again."""


def make_directory_volume(folder: Path) -> Made:
    root = str(folder / "volume")
    volume = OwnedDirectoryVolume.create(root, OWNER, FILES, SIZE)
    return volume, lambda: OwnedDirectoryVolume.open_as_owner(root, OWNER)


LAYOUTS = {VolumeLayout.DIRECTORY: make_directory_volume}


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.value)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    volume, reopen = LAYOUTS[request.param](tmp_path)
    yield volume, reopen
    volume.close()


@pytest.fixture
def owned(made: Made) -> OwnedVolume:
    return made[0]


@pytest.fixture
def reopen(made: Made) -> Callable[[], OwnedVolume]:
    return made[1]
