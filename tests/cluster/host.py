"""A host as tests see it, whatever it runs in."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from tests.cluster.network import SUBNET, Network
from tests.cluster.tools import DEADLINE, wait_until


class Host(ABC):
    """Number 1 is called n1 and has the address SUBNET.11. ``folder`` is its own."""

    def __init__(self, number: int, network: Network, key: Path, folder: Path) -> None:
        self.number, self.network, self.key, self.folder = number, network, key, folder
        self.name, self.address = f"n{number}", f"{SUBNET}.{10 + number}"
        self.console = folder / "console"
        folder.mkdir(parents=True)

    @abstractmethod
    def power_on(self) -> None:
        """Start it; what its disks held at its end they hold still."""

    @abstractmethod
    def cut_power(self) -> None:
        """Stop it as it is, at once. Does nothing to a host that is off."""

    @property
    @abstractmethod
    def is_on(self) -> bool:
        """Whether it runs."""

    def close(self) -> None:
        """Leave nothing of it."""
        self.cut_power()

    def run(self, command: str, *, given: bytes = b"", timeout: float = DEADLINE) -> str:
        """Run shell text as root over SSH; what it printed. A failure raises AssertionError."""
        ran = self.try_to(command, given=given, timeout=timeout)
        said = ran.stdout + ran.stderr
        assert ran.returncode == 0, f"{self.name}: {command}: {said.decode(errors='replace')}"
        return ran.stdout.decode()

    def try_to(
        self, command: str, *, given: bytes = b"", timeout: float = DEADLINE
    ) -> subprocess.CompletedProcess[bytes]:
        """The same, whatever comes of it."""
        return self.network.run([*self._ssh(), command], given=given, timeout=timeout)

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Begin shell text as root over SSH; its output goes to the pipe."""
        return subprocess.Popen(
            self.network.command(*self._ssh(), command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def wait_for_ssh(self, deadline: float = DEADLINE) -> None:
        """Return when it lets root in."""

        def let_in() -> bool:
            assert self.is_on, f"{self.name} has ended: {self.last_words()}"
            try:
                return self.try_to("true", timeout=30).returncode == 0
            except subprocess.TimeoutExpired:
                return False

        wait_until(let_in, f"{self.name} answers: {self.last_words()}", deadline)

    def boot_id(self) -> str:
        """Another one after each boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id")

    def last_words(self) -> str:
        """The end of its console."""
        return self.console.read_text(errors="replace")[-2000:] if self.console.exists() else ""

    def _ssh(self) -> list[str | Path]:
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "10",
            "BatchMode": "yes",
            # A host that is gone without a word ends the command, also where it was asked just before.
            "ServerAliveInterval": "15",
            "ServerAliveCountMax": "8",
        }
        given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", "-i", self.key, *given, f"root@{self.address}"]
