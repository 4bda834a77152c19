"""The cluster's secret: who can prove to know it may submit jobs, and so run code on every node.

It is made by whichever process needs it first. Several daemons may start at once, so the file appears in one
step with all its contents (written under another name, then linked): the first one wins and the others read
what it made. A secret that others could have read is no secret, so such a file is refused, not mended: only
the operator knows whether it leaked.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from blfs_mr.errors import ConfigError

SECRET_BYTES = 32
"""The output size of SHA-256, with which the handshake authenticates; a longer key would add nothing."""

_CONTENTS = re.compile(rb"[0-9a-f]{%d}\n?" % (2 * SECRET_BYTES))


def load_or_create_secret(path: Path) -> bytes:
    """The 32 bytes in the file at ``path``, which is made with mode 0600 where it is missing.

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


def _load(path: Path) -> bytes:
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
    return bytes.fromhex(contents.decode("ascii"))


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(SECRET_BYTES).encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # Another daemon was first; its secret is as good.
    finally:
        os.unlink(temporary)
