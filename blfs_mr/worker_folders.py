"""Where a worker keeps what it writes: its folders, from the templates of the configuration."""

from __future__ import annotations

import re
from pathlib import Path

from blfs_mr.errors import ConfigError
from blfs_mr.values import dataclass

# The name becomes a part of paths, of log lines and of the handshake.
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class WorkerFolders:
    """Where one worker keeps its volume, its private scratch, the output partitions and pieces of input.

    ``device`` is the volume's block device, empty for a directory volume.
    """

    volume: Path
    device: str
    scratch: Path
    output: Path
    input: Path


def worker_folders(
    home: Path, name: str, *, volume: str, device: str | None, scratch: str, output: str, input: str
) -> WorkerFolders:
    """The folders of the worker ``name``, of templates in which ``{home}`` and ``{name}`` stand.

    Raises ConfigError where that cannot be a worker's name.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be a worker's name: allowed are 1 to 64 letters, digits, - and _")

    def place(template: str) -> Path:
        return Path(template.replace("{home}", str(home)).replace("{name}", name))

    return WorkerFolders(
        place(volume), (device or "").replace("{name}", name), place(scratch), place(output), place(input)
    )
