"""An inventory from the text files that described a cluster before there was one in ``config.toml``."""

from __future__ import annotations

import json
import re
from pathlib import Path

from blfs_mr.config_values import NAME
from blfs_mr.errors import UsageError
from blfs_mr.volume.geometry import parse_shared_files

_ADDRESS = re.compile(r"[A-Za-z0-9.:-]+")


def parse_workers(text: str) -> dict[str, str]:
    """The addresses of the workers in lines ``name:address``, by name.

    Empty lines and those that begin with ``#`` are skipped. Raises UsageError with every line that is wrong.
    """
    found: dict[str, str] = {}
    wrong = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, address = (part.strip() for part in line.partition(":"))
        if not NAME.fullmatch(name) or not _ADDRESS.fullmatch(address):
            wrong.append(f"line {number}: {line.strip()!r} is not of the form name:address")
        elif name in found:
            wrong.append(f"line {number}: {name} stands there twice")
        else:
            found[name] = address
    if not found and not wrong:
        wrong.append("there are no workers in it")
    if wrong:
        raise UsageError("\n".join(wrong))
    return found


def imported_config(workers: Path, sharedfiles: Path | None, device: str, identity: str) -> str:
    """A ``config.toml`` of the hosts in ``workers``. Raises UsageError for files that are of no use."""
    try:
        hosts = parse_workers(workers.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, UsageError) as error:
        raise UsageError(f"{workers}: {error}") from error
    lines = ["[cluster]", f"id = {json.dumps(identity)}"]
    if sharedfiles is not None:
        try:
            parse_shared_files(sharedfiles.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, UsageError) as error:
            raise UsageError(f"{sharedfiles}: {error}") from error
        lines.append(f"sharedfiles = {json.dumps(str(sharedfiles.resolve()))}")
    lines.append("workers = [")
    lines += [
        f"  {{ name = {json.dumps(name)}, address = {json.dumps(address)}, device = {json.dumps(device)} }},"
        for name, address in hosts.items()
    ]
    return "\n".join([*lines, "]"]) + "\n"
