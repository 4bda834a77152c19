"""The submitter's side of an embedded cluster: say what it shall be like, wait for it, let it go."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from blfs_mr.errors import ConfigError, InternalError
from blfs_mr.submission import supervisor
from blfs_mr.values import dataclass


@dataclass(frozen=True, slots=True)
class Ready:
    """An embedded cluster that accepts connections. ``slots`` is the total of its workers.

    ``home`` is the folder of all its files, which goes when it goes.
    """

    port: int
    cluster: str
    secret_file: Path
    home: Path
    slots: int


class EmbeddedCluster:
    """It starts at once and in parallel to whatever the submitter does next; ``ready`` waits for it."""

    def __init__(self, config: Path | None, workers: int | None, slots: int | None) -> None:
        self._process = supervisor.take()
        self._home: Path | None = None
        options = {"config": config and str(config), "workers": workers, "slots": slots}
        try:
            os.write(self._process.stdin, json.dumps(options).encode() + b"\n")
        except BrokenPipeError:
            pass  # It is gone; ``ready`` says so.

    def ready(self) -> Ready:
        """Wait until the cluster accepts connections. Raises ConfigError with the supervisor's reason."""
        with open(self._process.stdout, "rb", closefd=False) as file:
            line = file.readline()
        if not line:
            raise InternalError("the embedded cluster did not start; see above")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise ConfigError(said["error"])
        self._home = Path(said["home"])
        return Ready(said["port"], said["cluster"], Path(said["secret_file"]), self._home, said["slots"])

    def close(self) -> None:
        """Let the cluster go; returns when its processes and files are gone."""
        self._process.close()
        if self._home is not None:
            # Only if the supervisor itself was killed is there anything left.
            shutil.rmtree(self._home, ignore_errors=True)
