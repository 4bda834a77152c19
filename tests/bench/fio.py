"""fio, the yardstick of storage people, told to do what we do: the same files, sizes and flushes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .processes import DEADLINE, CommandFailed

_COMMON = (
    "fio",
    "--name=bench",
    "--output-format=json",
    "--thread",
    "--fallocate=none",
    "--file_service_type=sequential",
)

_LEAST_SHARE = 0.98
"""Of the bytes asked for: below, more than the ends of the files were left out."""


def why_no_fio() -> str:
    """Why fio cannot be run here; empty when it can."""
    return "" if shutil.which("fio") else "fio is not installed (apt-get install fio)"


def seconds_to_read(files: Sequence[Path], total: int, block_size: int, depth: int) -> float:
    """Read ``files`` of ``total`` bytes directly, each from front to back, ``depth`` reads in flight."""
    options = ["--rw=read", "--direct=1", "--ioengine=libaio", f"--iodepth={depth}"]
    return _seconds("read", files, total, block_size, options)


def seconds_to_write(files: Sequence[Path], total: int, block_size: int) -> float:
    """Overwrite ``files`` of ``total`` bytes through the page cache, and flush each of them in the end."""
    options = ["--rw=write", "--direct=0", "--ioengine=psync", "--overwrite=1", "--end_fsync=1"]
    return _seconds("write", files, total, block_size, options)


def _seconds(
    direction: str, files: Sequence[Path], total: int, block_size: int, options: Sequence[str]
) -> float:
    """What fio says it took, which leaves out its own start."""
    names = "--filename=" + ":".join(map(str, files))
    command = [*_COMMON, names, f"--size={total}", f"--bs={block_size}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip()}")
    return parse(done.stdout, direction, total)


def parse(output: str, direction: str, total: int) -> float:
    """The seconds that ``total`` bytes take by fio's JSON. Raises CommandFailed if it moved fewer.

    A last part of a file that is no whole block fio leaves out; its time is stretched by as much.
    """
    # Warnings may stand before the object.
    figures = json.loads(output[output.index("{") :])["jobs"][0][direction]
    moved: int = figures["io_bytes"]
    if not _LEAST_SHARE * total <= moved <= total:
        raise CommandFailed(f"fio moved {moved} bytes instead of {total}")
    return max(1, int(figures["runtime"])) / 1000 * total / moved
