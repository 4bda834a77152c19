"""Fixtures: a stage for each test, daemons that a module's tests share, and daemons of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.harness import Daemons, Stage, running_daemons


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Where a test runs its processes; nothing of it survives the test."""
    stage = Stage(tmp_path / "stage")
    yield stage
    stage.kill_everything()


@pytest.fixture(scope="session")
def shared_daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """Daemons for tests that leave them as they found them: two workers of two slots."""
    stage = Stage(tmp_path_factory.mktemp("shared-daemons") / "stage")
    with running_daemons(stage, worker="slots = 2\nlog_limit = '64KiB'") as daemons:
        yield daemons


@pytest.fixture
def start_daemons(stage: Stage) -> Iterator[Callable[..., Daemons]]:
    """Starts daemons of the test's own."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(running_daemons(stage, **options))
