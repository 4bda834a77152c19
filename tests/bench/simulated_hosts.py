"""``python -m tests.bench.simulated_hosts FOLDER COUNT LATENCY``: SSH hosts until standard input ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from tests.unit.cluster.simulation import simulated_cluster


async def serve(folder: Path, count: int, latency: float) -> None:
    async with simulated_cluster(folder, count, latency=latency, real_wheels=True) as cluster:
        for shell in cluster.shells.values():
            # A host that was set up and runs, for those who ask how it is.
            shell.running = {"blfs-mr-worker.service": True, "blfs-mr-master.service": True}
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
