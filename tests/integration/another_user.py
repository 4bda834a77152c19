"""Whether tasks can have a user of their own here, and what that takes: a Python that such a user can run."""

from __future__ import annotations

import functools
import os
import pwd
import subprocess
import sys
from pathlib import Path

from blfs_mr.errors import ConfigError
from daemons.task_user import TaskUser

TASK_USER = "nobody"


@functools.cache
def reachable_python() -> str:
    """A Python of this very version that the task user can run; empty where there is none."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if _can_run(candidate):
            return candidate
    return ""


@functools.cache
def why_not() -> str:
    """Why tasks can have no user of their own here; empty where they can."""
    if os.geteuid() != 0:
        return "giving processes to another user needs root"
    if not reachable_python():
        return f"there is no Python {sys.version_info[0]}.{sys.version_info[1]} here that {TASK_USER} can run"
    return ""


def can_reach(*paths: Path) -> bool:
    """Whether the task user can enter the folders of ``paths``."""
    found = pwd.getpwnam(TASK_USER)
    user = TaskUser(TASK_USER, found.pw_uid, found.pw_gid, found.pw_dir)
    try:
        for path in paths:
            user.check_way_to(path.parent, "this test")
    except (ConfigError, OSError):
        return False
    return True


def _can_run(python: str) -> bool:
    if not can_reach(Path(python), Path(python).resolve(), Path(__file__)):
        return False
    asked = [python, "-c", "import sys; print(sys.version_info[:2])"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return told == str(sys.version_info[:2])
