"""Run one seed again, alone: ``python -m tests.simulation SEED``. Its world is the one the tests gave it."""

from __future__ import annotations

import sys
import time

from tests.simulation.worlds import world_of


def main() -> None:
    """Run the world of the seed in argv, and say how it went."""
    seed = int(sys.argv[1])
    world = world_of(seed)
    began = time.perf_counter()
    world.run()
    seconds = time.perf_counter() - began
    outcomes = [ended.failure.summary if ended.failure else "succeeded" for ended in world.ended.values()]
    print(f"seed {seed}: {world.size}\n{world.events} events, {world.now:.0f} virtual s, {seconds:.2f} s")
    print(*outcomes, sep="\n")


if __name__ == "__main__":
    main()
