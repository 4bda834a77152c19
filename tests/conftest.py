"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# A time limit of each example would fail tests for a busy machine's sake.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
