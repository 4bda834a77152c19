"""Takes a lab down when the process that brought it up is killed.

    python -m tests.lab.guardian FOLDER

Its standard input is a pipe from that process. A word through it says that the lab is down already; its end
without one says that the process is dead.
"""

from __future__ import annotations

import sys
from pathlib import Path

from blfs_mr.lab.running import down, load_plan


def main(folder: Path) -> None:
    """Wait for the word, or for the end."""
    if not sys.stdin.buffer.read() and folder.exists():
        down(load_plan(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
