"""What holds for all tests. Those of one lab run in one process: another would bring up the lab beside it.

The groups of pytest-xdist would say this too (``--dist loadgroup``), but version 3.8 has none under pytest 9.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import settings

# A time limit for each example would fail property tests for a busy machine's sake.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

_OF_A_LAB = re.compile(r"tests/lab/.*\[(file|raw)\]$")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give out tests one by one as ``--dist load`` does, but those of a lab all to the same process."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByLab(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            lab = _OF_A_LAB.search(nodeid)
            return lab[1] if lab else nodeid

    return ByLab(config, log)
