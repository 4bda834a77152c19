"""Looks at peers' volumes: what keeps a worker from looking is told of each volume, and ends nothing."""

from __future__ import annotations

from blfs_mr.model import PeerVolume, WorkerName
from daemons.hung import Hung
from daemons.peers import Peers
from daemons.processes import Spawner


async def test_a_host_that_can_start_no_process_sees_no_volume_and_says_why() -> None:
    async def no_spawner() -> Spawner:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    configured = [PeerVolume(WorkerName(name), f"/dev/{name}") for name in "ab"]
    peers = Peers(configured, 1.0, Hung(), no_spawner)
    await peers.look()
    assert peers.readable == {}
    assert [seen.owner for seen in peers.seen] == ["a", "b"]
    for seen in peers.seen:
        assert "it could not be looked at: [Errno 11] Resource temporarily unavailable" in seen.problem
