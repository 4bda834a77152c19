"""The one way in which steps reach the system of the host, so that tests can stand in for it."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from blfs_mr.atomic_files import write_beside
from blfs_mr.errors import ClusterError

TOOL_DEADLINE = 300.0
"""Seconds for one program of the system: one that waits for a dead device must not hold up a whole init."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program did."""

    exit_code: int
    output: str
    error: str = ""


class System(Protocol):
    """Programs and files of a host. Every method may raise OSError."""

    def run(self, argv: Sequence[str], given: str = "", home: str = "") -> Ran:
        """Run a program of the system with ``given`` on its input; ``home`` stands in for $HOME."""

    def read(self, path: str) -> str | None:
        """The text of a file; None where there is none."""

    def write(self, path: str, text: str, *, mode: int, user: str, group: str) -> bool:
        """Make a file what is said, in one step; whether that changed anything."""

    def make_folder(self, path: str, *, mode: int, user: str, group: str) -> bool:
        """The same for a folder."""

    def remove(self, path: str) -> bool:
        """Remove a file, a link, or a folder with all that is in it; whether there was one."""

    def matches(self, pattern: str) -> list[str]:
        """The paths that match a shell's ``pattern``."""

    def modified(self, path: str) -> float:
        """When a file (or a link itself) was written last, seconds since 1970; 0 where there is none."""


class LocalSystem:
    """This host."""

    def run(self, argv: Sequence[str], given: str = "", home: str = "") -> Ran:
        environment = os.environ | {"LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
        if home:
            environment["HOME"] = home
        try:
            ran = subprocess.run(
                argv,
                input=given,
                capture_output=True,
                text=True,
                errors="replace",
                env=environment,
                timeout=TOOL_DEADLINE,
                check=False,
            )
        except FileNotFoundError as error:
            raise ClusterError(f"{argv[0]} is not installed here, and this needs it") from error
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"`{' '.join(argv)}` did not end within {TOOL_DEADLINE:g}s") from error
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def read(self, path: str) -> str | None:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, path: str, text: str, *, mode: int, user: str, group: str) -> bool:
        if self.read(path) == text and not self._owned(path, mode, user, group):
            return False
        # Folders such as /etc/sysusers.d a bare host need not have.
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = str(write_beside(Path(path), text.encode(), 0o600))
        try:
            self._owned(temporary, mode, user, group)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        return True

    def make_folder(self, path: str, *, mode: int, user: str, group: str) -> bool:
        made = not os.path.isdir(path)
        os.makedirs(path, exist_ok=True)
        return self._owned(path, mode, user, group) or made

    def remove(self, path: str) -> bool:
        if not os.path.lexists(path):
            return False
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
        return True

    def matches(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern))

    def modified(self, path: str) -> float:
        try:
            return os.lstat(path).st_mtime
        except FileNotFoundError:
            return 0.0

    def _owned(self, path: str, mode: int, user: str, group: str) -> bool:
        """Give ``path`` its owner and mode; whether that changed anything."""
        try:
            owner = pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
        except KeyError as error:
            raise ClusterError(f"{path}: there is no user {user} or no group {group} here") from error
        found = os.lstat(path)
        if (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (*owner, mode):
            return False
        os.chown(path, *owner, follow_symlinks=False)
        os.chmod(path, mode)
        return True
