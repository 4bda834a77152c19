"""The submitter's side of an embedded cluster: start its supervisor, know when it is there, let it go."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blfs_mr.errors import ConfigError, InternalError

LEAVE_DEADLINE = 15.0
"""Seconds that the supervisor gets to stop everything; it kills what has not stopped after 5 s itself."""


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
    """A supervisor process whose life hangs on a pipe that only this process holds open.

    It starts at once and in parallel to whatever the submitter does next; ``ready`` waits for it.
    """

    def __init__(self, config: Path | None, workers: int | None, slots: int | None) -> None:
        options = {"--config": config, "--workers": workers, "--slots": slots}
        given = [str(word) for option in options.items() if option[1] is not None for word in option]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "daemons.embedded", *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._home: Path | None = None

    def ready(self) -> Ready:
        """Wait until the cluster accepts connections. Raises ConfigError with the supervisor's reason."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise InternalError(
                f"the embedded cluster did not start (exit code {self._process.wait()}); see above"
            )
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise ConfigError(said["error"])
        self._home = Path(said["home"])
        return Ready(said["port"], said["cluster"], Path(said["secret_file"]), self._home, said["slots"])

    def close(self) -> None:
        """Let the cluster go; returns when its processes and files are gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(LEAVE_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        if self._home is not None:
            # Only if the supervisor itself was killed is there anything left.
            shutil.rmtree(self._home, ignore_errors=True)
