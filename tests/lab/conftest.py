"""Fixtures: one lab of four nodes over iSCSI for each layout, which tests leave as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blfs_mr.lab.plan import Backend, LabPlan
from blfs_mr.model import VolumeLayout
from tests.integration.harness import Stage
from tests.lab.labs import a_lab, a_plan, skip_without


@pytest.fixture(scope="package", params=[VolumeLayout.FILE, VolumeLayout.RAW], ids=["file", "raw"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPlan]:
    """A master and four workers, four targets, and twelve peer attachments."""
    skip_without(Backend.ISCSI, request.param)
    folder = tmp_path_factory.mktemp("labs") / request.param.value
    with a_lab(a_plan(folder, Backend.ISCSI, request.param, nodes=4)) as plan:
        yield plan


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Where a test runs its submitters; nothing of it survives the test."""
    stage = Stage(tmp_path / "stage")
    yield stage
    stage.kill_everything()
