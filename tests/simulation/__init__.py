"""The scheduler among simulated workers: ``python -m tests.simulation SEED`` replays one seed."""
