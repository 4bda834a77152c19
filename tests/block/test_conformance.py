"""The conformance suite of all layouts, on those that need block devices."""

from __future__ import annotations

import pytest

from tests.unit.volume.test_conformance import TestEveryVolume

__all__ = ["TestEveryVolume"]

pytestmark = pytest.mark.root
