"""The user that tasks run as, where it is another than the worker's own.

What such a user has to have, the worker gives to its group, in which the worker's user must be as well; what
it does not need, it cannot open.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from pathlib import Path

import blfs_mr
from blfs_mr.errors import ConfigError
from blfs_mr.values import dataclass

CLOSED, PASSABLE, SHARED, LISTED, READABLE = 0o700, 0o711, 0o770, 0o750, 0o640
"""Modes: of folders that are the worker's alone, that can be passed by who knows what is in them, that tasks
write to as well, that they may look into; and of files that they read."""


@dataclass(frozen=True, slots=True)
class TaskUser:
    """A user and its own group, by their numbers."""

    name: str
    uid: int
    gid: int
    home: str

    def give(self, path: str | os.PathLike[str], mode: int) -> None:
        """Let tasks use the file or folder at ``path``. Raises OSError."""
        os.chown(path, -1, self.gid)
        os.chmod(path, mode)

    def check_way_to(self, place: Path, setting: str) -> None:
        """Raises ConfigError where this user cannot get to ``place``; ``setting`` says what named it."""
        for folder in (*reversed(place.parents), place):
            found = folder.stat()
            if not found.st_mode & self._search_bit(found):
                raise ConfigError(
                    f"{setting}: the user {self.name} (worker.task_user) cannot enter {folder}, mode "
                    f"{stat.S_IMODE(found.st_mode):04o}: `chmod o+x {folder}`, or choose another place"
                )

    def _search_bit(self, found: os.stat_result) -> int:
        if found.st_uid == self.uid:
            return stat.S_IXUSR
        return stat.S_IXGRP if found.st_gid == self.gid else stat.S_IXOTH


def find_task_user(name: str) -> TaskUser | None:
    """The user called ``name``, None where that is empty: tasks run as the worker's own user.

    Raises ConfigError where there is no such user, or it would be no protection.
    """
    if not name:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise ConfigError(f"worker.task_user: there is no user {name} here") from error
    if found.pw_uid in (0, os.geteuid()) or found.pw_gid in (0, os.getegid()):
        raise ConfigError(
            f"worker.task_user: {name} is root or the worker's own user, or shares its group, and so could "
            "read what is the worker's alone: name another user, or leave it out"
        )
    user = TaskUser(name, found.pw_uid, found.pw_gid, found.pw_dir)
    # An environment's Python is a link to the one that it was made of.
    for python in (Path(sys.executable), Path(sys.executable).resolve()):
        user.check_way_to(python.parent, "the Python that runs the worker")
    user.check_way_to(Path(blfs_mr.__file__).parent, "the installed blfs_mr")
    return user
