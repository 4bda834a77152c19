"""The benchmark's hosts answer, and go when they are no longer asked."""

from __future__ import annotations

from tests.bench.set_up import seconds_for


def test_simulated_hosts_can_be_asked() -> None:
    assert seconds_for(2, 0.0, "status") > 0
