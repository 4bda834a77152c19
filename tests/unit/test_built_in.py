"""The built-in configuration without models: the same values, wherever a daemon looks."""

from __future__ import annotations

from typing import Any

import pytest

from blfs_mr.built_in import built_in_config
from blfs_mr.config import load_config

ENVIRONMENT = {"HOME": "/home/ada"}


def fields(section: Any) -> dict[str, Any]:
    return dict(vars(section))


@pytest.mark.parametrize("section", ["master", "worker", "job", "embedded", "logging"])
def test_a_section_has_the_defaults_of_its_model(section: str) -> None:
    checked = getattr(load_config(None, ENVIRONMENT), section)
    assert fields(getattr(built_in_config(ENVIRONMENT), section)) == fields(checked), (
        "blfs_mr.built_in must have the keys and defaults of blfs_mr.config"
    )


def test_the_rest_is_as_the_models_have_it() -> None:
    checked, quick = load_config(None, ENVIRONMENT), built_in_config(ENVIRONMENT)
    assert fields(quick).keys() == fields(checked).keys()
    assert (quick.home, quick.secret_path) == (checked.home, checked.secret_path)
    assert quick.cluster.id == checked.cluster.id
    assert quick.worker_folders("worker-0") == checked.worker_folders("worker-0")
    assert quick.worker.slot_count == checked.worker.slot_count
    assert quick.worker.model_fields_set == checked.worker.model_fields_set


def test_folders_follow_the_environment() -> None:
    environment = ENVIRONMENT | {"XDG_STATE_HOME": "/state", "TMPDIR": "/fast"}
    checked, quick = load_config(None, environment), built_in_config(environment)
    assert (quick.home, quick.embedded.scratch) == (checked.home, checked.embedded.scratch)


def test_a_copy_differs_in_what_is_given() -> None:
    config = built_in_config(ENVIRONMENT)
    changed = config.model_copy(update={"worker": config.worker.model_copy(update={"slots": 7})})
    assert (changed.worker.slot_count, changed.worker.log_limit) == (7, config.worker.log_limit)
    assert config.worker.slots is None
