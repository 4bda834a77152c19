"""Every test here needs pyarrow, an optional dependency."""

from __future__ import annotations

import pytest

pytest.importorskip("pyarrow")
