"""Where daemons keep their files: the paths of a configuration, from its templates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

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


class _Master(Protocol):
    @property
    def manifests(self) -> str: ...


class _Worker(Protocol):
    @property
    def volume(self) -> str: ...
    @property
    def device(self) -> str | None: ...
    @property
    def scratch(self) -> str: ...
    @property
    def output(self) -> str: ...
    @property
    def input(self) -> str: ...


class _Templates(Protocol):
    """A configuration's paths, in which ``{home}`` stands, and ``{name}`` in those of a worker."""

    @property
    def home(self) -> Path: ...
    @property
    def secret_file(self) -> str: ...
    @property
    def master(self) -> _Master: ...
    @property
    def worker(self) -> _Worker: ...


class ConfiguredPaths:
    """What a configuration says of files and folders, with its templates filled in."""

    @property
    def secret_path(self: _Templates) -> Path:
        """The file that holds the cluster's secret."""
        return _filled(self.secret_file, self.home)

    @property
    def manifests_folder(self: _Templates) -> Path:
        """Where the master finds the manifests of inputs that were put on workers."""
        return _filled(self.master.manifests, self.home)

    def worker_folders(self: _Templates, name: str) -> WorkerFolders:
        """The folders of the worker ``name``. Raises ConfigError where that cannot be a worker's name."""
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be a worker's name: allowed are 1 to 64 letters, digits, - and _"
            )
        worker, home = self.worker, self.home
        return WorkerFolders(
            _filled(worker.volume, home, name),
            (worker.device or "").replace("{name}", name),
            _filled(worker.scratch, home, name),
            _filled(worker.output, home, name),
            _filled(worker.input, home, name),
        )


def _filled(template: str, home: Path, name: str = "") -> Path:
    return Path(template.replace("{home}", str(home)).replace("{name}", name))
