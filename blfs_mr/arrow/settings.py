"""How Arrow works inside a task process, which is one slot of a node among others."""

from __future__ import annotations

import pyarrow as pa

from blfs_mr import linux


def be_one_slot() -> None:
    """One thread that computes, and memory from the C library.

    A node runs as many tasks as it has processors for, so threads of their own would only push each other
    aside. Arrow's own allocator keeps what it freed; the C library maps large columns one by one, gives
    them back at once, and was faster as well where rows are copied.
    """
    pa.set_cpu_count(1)
    pa.set_memory_pool(pa.system_memory_pool())


def release_memory() -> None:
    """Give freed memory back to the kernel, so that it counts for nothing."""
    pa.default_memory_pool().release_unused()
    linux.trim_memory()
