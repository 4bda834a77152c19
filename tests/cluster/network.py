"""A network of its own for hosts of tests: a namespace with a bridge, and no way out."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.tools import tool

SUBNET = "10.78.0"
OPERATOR = f"{SUBNET}.1"
"""The address of whoever tests; that of host number N is SUBNET.(10+N)."""


class Network:
    """Made when constructed; :meth:`close` takes it away with all interfaces in it."""

    def __init__(self) -> None:
        self.name = f"blfs-mr-{secrets.token_hex(3)}"
        tool("ip", "netns", "add", self.name)
        try:
            self._ip("link", "set", "lo", "up")
            self._ip("link", "add", "bridge", "type", "bridge")
            self._ip("addr", "add", f"{OPERATOR}/24", "dev", "bridge")
            # So that a capture on the bridge sees what passes between its ports.
            self._ip("link", "set", "bridge", "promisc", "on", "up")
        except BaseException:
            self.close()
            raise

    def command(self, *command: str | Path) -> list[str]:
        """The argv that runs ``command`` in this network.

        Not ``ip netns exec``, which hides the host's /sys and with it the control groups.
        """
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *map(str, command)]

    def run(
        self, command: Sequence[str | Path], *, given: bytes = b"", timeout: float = 600
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program in it to its end. Raises TimeoutExpired."""
        return subprocess.run(
            self.command(*command), input=given, capture_output=True, timeout=timeout, check=False
        )

    def add_tap(self, name: str) -> None:
        """An interface for an emulator, a port of the bridge."""
        self._ip("tuntap", "add", name, "mode", "tap")
        self._ip("link", "set", name, "master", "bridge", "up")

    def close(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=False, env=os.environ)

    def _ip(self, *arguments: str) -> None:
        tool("ip", "-n", self.name, *arguments)
