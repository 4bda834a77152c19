"""Benchmarks: ours beside a reference, on the same machine in the same minutes.

    python -m tests.bench NAME [--json] [--rounds N]

``all`` runs every one and writes docs/benchmarks.md.
"""
