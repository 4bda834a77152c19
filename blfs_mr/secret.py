"""The cluster's secret: who can prove to know it may submit jobs, and so run code on every node.

It is made by whichever process needs it first. Several daemons may start at once, so the file appears in one
step with all its contents (written under another name, then linked): the first one wins and the others read
what it made. A secret that others could have read is no secret, so such a file is refused, not mended: only
the operator knows whether it leaked.

While a secret is replaced, the file of the master holds two, a line each: the new one, and the old one that
workers and submitters still prove themselves with.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from blfs_mr.atomic_files import write_beside
from blfs_mr.errors import ConfigError

SECRET_BYTES = 32
"""The output size of SHA-256, with which the handshake authenticates; a longer key would add nothing."""

_CONTENTS = re.compile(rb"[0-9a-f]{%d}(\n[0-9a-f]{%d})?\n?" % (2 * SECRET_BYTES, 2 * SECRET_BYTES))


def load_or_create_secret(path: Path) -> bytes:
    """The 32 bytes with which this host proves itself: the first of :func:`load_or_create_secrets`."""
    return load_or_create_secrets(path)[0]


def load_or_create_secrets(path: Path) -> tuple[bytes, ...]:
    """The secrets, 32 bytes each and newest first, in the file at ``path``, made with mode 0600 if missing.

    Raises ConfigError, with the remedy, where the file cannot be made or read, others may read it, or its
    contents are no secret.
    """
    try:
        try:
            return _load(path)
        except FileNotFoundError:
            _create(path)
            return _load(path)
    except OSError as error:
        raise ConfigError(f"{path}: the secret cannot be read or made: {error.strerror}") from error


def rotate_secret(path: Path) -> None:
    """Put a new secret before the present one, which the master still admits. Raises ConfigError, OSError."""
    present = load_or_create_secret(path)
    _replace(path, f"{secrets.token_hex(SECRET_BYTES)}\n{present.hex()}\n")


def retire_old_secret(path: Path) -> None:
    """End a rotation: only the newest secret is left. Raises ConfigError, OSError."""
    _replace(path, f"{load_or_create_secret(path).hex()}\n")


def _load(path: Path) -> tuple[bytes, ...]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: the secret must be a regular file; name another as secret_file")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"{path}: others may read the secret (mode {stat.S_IMODE(status.st_mode):04o}); if it may "
                f"have leaked, delete it and restart all daemons, else run: chmod 600 {path}"
            )
        contents = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    if not _CONTENTS.fullmatch(contents):
        raise ConfigError(
            f"{path}: no secret ({2 * SECRET_BYTES} hex digits); copy the one of the other nodes here, or "
            "delete the file to have a new one made"
        )
    return tuple(bytes.fromhex(line) for line in contents.decode("ascii").split())


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = write_beside(path, f"{secrets.token_hex(SECRET_BYTES)}\n".encode(), 0o600)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # Another daemon was first; its secret is as good.
    finally:
        os.unlink(temporary)


def _replace(path: Path, contents: str) -> None:
    # The owner stays the same: who rotates is root, and daemons are not.
    status = path.stat()
    temporary = write_beside(path, contents.encode(), 0o600)
    os.chown(temporary, status.st_uid, status.st_gid)
    os.replace(temporary, path)
