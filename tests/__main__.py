"""``python -m tests``: every check that a change must pass, the tests last.

All are run even when one fails, so that one look tells everything.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

# By the folder of this Python: the tools of the environment it belongs to, whether that is activated or not.
BIN = Path(sys.executable).parent

CHECKS = (
    (str(BIN / "ruff"), "check", "."),
    (str(BIN / "ruff"), "format", "--check", "."),
    (str(BIN / "mypy"),),
    (str(BIN / "lint-imports"),),
    # The machines that test are small and shared: two processes, not one per core.
    (sys.executable, "-m", "pytest", "-n", "2", *sys.argv[1:]),
)


def main() -> int:
    """Run the checks and return 1 if any failed. Arguments are pytest's."""
    failed = []
    for command in CHECKS:
        name = " ".join([Path(command[0]).name, *command[1:]])
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=REPOSITORY, check=False).returncode:
            failed.append(name)
    # Told on stderr: the last line of stdout stays pytest's summary.
    for name in failed:
        print(f"failed: {name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
