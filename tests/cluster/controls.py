"""The operator's and the submitter's side of a cluster under test: a folder, a config.toml, our commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.host import Host
from tests.cluster.network import Network

REPOSITORY = Path(__file__).parents[2]


@dataclass(slots=True)
class Controls:
    """Whoever runs the cluster of ``hosts`` from outside of it, in ``folder``."""

    network: Network
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def cluster(self, *arguments: str | Path, timeout: float = 900) -> str:
        """``blfs-mr cluster ARGUMENTS``; what it printed. A failure raises AssertionError."""
        command = [sys.executable, "-m", "blfs_mr.cli", "cluster", "--config", self.config]
        return self._checked([*command, "--accept-new-host-keys", *arguments], timeout)

    def command(self, *arguments: str | Path, timeout: float = 900) -> str:
        """``blfs-mr ARGUMENTS``, the same way."""
        return self._checked([sys.executable, "-m", "blfs_mr.cli", *arguments], timeout)

    def submit(self, *arguments: str | Path, timeout: float = 900) -> str:
        """Run a job to its end; standard output and error."""
        return self._checked(self._submission(arguments), timeout)

    def start_job(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Submit a job and return while it runs; its output goes to the pipe."""
        return subprocess.Popen(
            self.network.command(*self._submission(arguments)),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _submission(self, arguments: Sequence[str | Path]) -> list[str | Path]:
        return [sys.executable, "-m", "blfs_mr.submit", "--config", self.config, *arguments]

    def _checked(self, command: Sequence[str | Path], timeout: float) -> str:
        ran = subprocess.run(
            self.network.command(*command),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        shown = " ".join(map(str, command[2:]))
        print(f"$ {shown}\n{ran.stdout}")
        assert ran.returncode == 0, f"{shown}: exit code {ran.returncode}\n{ran.stdout}"
        return ran.stdout

    def _environment(self) -> dict[str, str]:
        home = {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BLFS_MR_")}
        return kept | home | {"PYTHONPATH": str(REPOSITORY)}


def inventory(
    key: Path, hosts: Sequence[Host], devices: str, *, more: str = "", users: Mapping[str, str] | None = None
) -> str:
    """A config.toml for ``hosts``, reached as root but for ``users`` of some, by the hosts' names.

    ``devices`` are lines of each worker, with {name} for its name.
    """
    lines = [more, "[cluster.ssh]", f'key = "{key}"', ""]
    for host in hosts:
        lines += ["[[cluster.workers]]", f'name = "{host.name}"', f'address = "{host.address}"']
        if user := (users or {}).get(host.name):
            lines.append(f'ssh_user = "{user}"')
        lines += [devices.replace("{name}", host.name), ""]
    return "\n".join(lines)
