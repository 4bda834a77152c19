"""Which world a seed stands for: its size and its faults follow from the seed alone."""

from __future__ import annotations

import random

from tests.simulation.world import Size, World

SIZES = (
    Size(workers=1, jobs=2, maps=6, reduces=3, seconds_between_deaths=60),
    Size(workers=3, jobs=3, maps=12, reduces=4, seconds_between_deaths=10),
    Size(workers=8, jobs=5, maps=40, reduces=10),
    Size(workers=8, jobs=3, maps=20, reduces=20, output_unreadable=0.05, max_attempts=40),
    # Nothing but lost map outputs: here no other fault frees a slot by chance, so a scheduler that lets
    # readers hold every slot that their map needs hangs.
    Size(
        workers=2,
        jobs=2,
        maps=8,
        reduces=12,
        attempt_fails=0,
        attempt_requeued=0,
        output_unreadable=0.1,
        seconds_between_deaths=1e9,
        max_attempts=40,
    ),
    # Pools that are short all the time, of one worker and of several, with deaths and without.
    Size(workers=1, jobs=2, maps=12, reduces=4, pool=2, seconds_between_deaths=120, max_attempts=40),
    Size(workers=2, jobs=2, maps=16, reduces=6, pool=3, seconds_between_deaths=1e9),
    Size(
        workers=4,
        jobs=3,
        maps=24,
        reduces=8,
        pool=3,
        files_per_map=3,
        seconds_between_deaths=15,
        max_attempts=40,
    ),
    Size(
        workers=4, jobs=4, maps=16, reduces=6, pool=5, may_drain=0.5, output_unreadable=0.05, max_attempts=40
    ),
    Size(workers=3, jobs=2, maps=16, reduces=6, pool=3, seconds_between_deaths=5, max_attempts=100),
    Size(workers=2, jobs=3, maps=8, reduces=6, pool=2, may_drain=0.5, seconds_between_deaths=1e9),
    Size(
        workers=3, jobs=2, maps=16, reduces=6, pool=2, drain_fails=0.2, volume_survives=0.5, max_attempts=60
    ),
    # Hosts that cannot read anything, and volumes that nobody can read.
    Size(
        workers=4,
        jobs=3,
        maps=16,
        reduces=6,
        seconds_between_deaths=1e9,
        seconds_between_blindness=15,
        output_unreadable=0,
        attempt_fails=0,
        max_attempts=40,
    ),
    Size(workers=6, jobs=4, maps=20, reduces=8, seconds_between_blindness=5, max_attempts=60),
    Size(
        workers=4,
        jobs=3,
        maps=24,
        reduces=8,
        pool=3,
        files_per_map=3,
        seconds_between_deaths=30,
        seconds_between_blindness=10,
        max_attempts=60,
    ),
    Size(workers=30, jobs=6, maps=60, reduces=20, seconds_between_deaths=1, volume_survives=0.5),
)
LARGE = Size(
    workers=1_000, jobs=3, maps=2_000, reduces=50, seconds_between_deaths=0.5, output_unreadable=0.0005
)


def world_of(seed: int) -> World:
    """The world of ``seed``: small worlds of every kind, and the large one for seeds below 0."""
    size = LARGE if seed < 0 else random.Random(seed).choice(SIZES)
    return World(seed, size)
