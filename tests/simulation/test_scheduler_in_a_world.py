"""The scheduler in a world of faults: every job ends, and has its results exactly once.

``SIMULATION_SEEDS=500`` in the environment tries more worlds. A failure names its seed, and
``python -m tests.simulation SEED`` runs that one again.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.worlds import world_of

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "40"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_job_ends_with_its_results_exactly_once_whatever_fails(seed):
    world_of(seed).run()


def test_a_thousand_workers_are_scheduled_without_breaking_a_rule():
    world_of(-1).run()


def test_a_seed_tells_the_same_story_twice():
    first, second = world_of(2), world_of(2)
    for world in (first, second):
        world.run()
    assert (first.now, first.events, first.ended) == (second.now, second.events, second.ended)


def test_most_jobs_survive_their_world():
    ends = [ended for seed in range(10) for ended in _ends(seed)]
    assert sum(ended.failure is None for ended in ends) > len(ends) / 2


def _ends(seed):
    world = world_of(seed)
    world.run()
    return world.ended.values()
