"""What proves who somebody is in a cluster, made at the first init and kept by the operator's side."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blfs_mr.atomic_files import replace_file
from blfs_mr.errors import ConfigError

CHAP_PASSWORD_BYTES = 8
"""As hex digits 16 letters: initiators of other systems allow 12 to 16."""


@dataclass(frozen=True, slots=True)
class Chap:
    """The name and password with which one host logs in to targets."""

    user: str
    password: str = field(repr=False)


def load_or_create_chap(path: Path, cluster: str, workers: Sequence[str]) -> dict[str, Chap]:
    """The CHAP credentials of ``workers``; those that are missing are made. Mode 0600; raises ConfigError."""
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found = {name: Chap(entry["user"], entry["password"]) for name, entry in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: no CHAP credentials of ours: {error}; mend it or delete it") from error
    missing = [name for name in workers if name not in found]
    if missing:
        for name in missing:
            found[name] = Chap(f"{cluster}-{name}", secrets.token_hex(CHAP_PASSWORD_BYTES))
        text = json.dumps(
            {name: {"user": chap.user, "password": chap.password} for name, chap in found.items()}, indent=2
        )
        write_private(path, text + "\n")
    return found


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, in one step. Raises ConfigError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, text.encode(), 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
