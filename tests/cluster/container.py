"""Hosts in systemd-nspawn: real systemd and sshd on this machine's kernel, up in a few seconds.

Each has a copy-on-write view of the image's root file system. Its volume is a loop device; its peers see
that disk through loop devices of their own, which are read-only.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.host import Host
from tests.cluster.image import Image
from tests.cluster.network import Network
from tests.cluster.tools import ENVIRONMENT, tool, wait_until

# A container's boot id is a mount over the kernel's own, and these settings mount /proc anew, without it.
_DROP_IN = "[Service]\nProtectKernelTunables=no\nProtectControlGroups=no\nProtectProc=default\n"


def why_not() -> str:
    """Why there can be no containers here; empty where there can."""
    if os.geteuid() != 0:
        return "needs root"
    tools = ("systemd-nspawn", "losetup", "nsenter", "ip", "ssh")
    missing = [name for name in tools if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    if not os.path.exists("/dev/loop-control"):
        return "needs loop devices (/dev/loop-control)"
    return ""


class Container(Host):
    """One host. ``devices`` are paths of devices in it, by what they lead to here."""

    def __init__(self, number: int, network: Network, image: Image, folder: Path) -> None:
        super().__init__(number, network, image.key, folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._devices: dict[Path, str] = {}
        self._root = folder / "root"
        for name in ("root", "upper", "work", "devices"):
            (folder / name).mkdir()
        layers = f"lowerdir={image.root},upperdir={folder}/upper,workdir={folder}/work"
        tool("mount", "-t", "overlay", "overlay", "-o", layers, self._root)
        self._identify()

    def add_device(self, here: str, there: str) -> None:
        """Let ``there`` in the host be the device ``here``, through a node that is the host's own."""
        node = self.folder / "devices" / Path(there).name
        os.mknod(node, stat.S_IFBLK | 0o660, os.stat(here).st_rdev)
        self._devices[node] = there

    def power_on(self) -> None:
        # Of its network, it must find no trace of a host that lost its power.
        stale = ["ip", "-n", self.network.name, "link", "delete", f"vb-{self._machine}"]
        subprocess.run(stale, env=ENVIRONMENT, capture_output=True, check=False)
        command = self.network.command(
            *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"),
            *(f"--directory={self._root}", f"--machine={self._machine}", "--network-bridge=bridge"),
            *(f"--bind={node}:{place}" for node, place in self._devices.items()),
        )
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                command,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    def cut_power(self) -> None:
        if self._process is None:
            return
        # The first process of the container: all others end with it, and no signal reaches them before.
        for first in _children(self._process.pid):
            os.kill(first, signal.SIGKILL)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def is_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        super().close()
        wait_until(
            lambda: subprocess.run(["umount", self._root], capture_output=True, check=False).returncode == 0,
            f"the root file system of {self.name} is unmounted",
        )

    @property
    def _machine(self) -> str:
        # Part of an interface's name, of which there are 15 letters.
        return f"{self.name}-{self.network.name[-6:]}"

    def _identify(self) -> None:
        network = f"[Match]\nName=host0\n[Network]\nAddress={self.address}/24\nLinkLocalAddressing=no\n"
        files = {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": f"127.0.0.1 localhost {self.name}\n",
            "etc/machine-id": f"{os.urandom(16).hex()}\n",
            "etc/systemd/network/10-host.network": network,
        }
        for daemon in ("master", "worker", "tasks@"):
            files[f"etc/systemd/system/blfs-mr-{daemon}.service.d/container.conf"] = _DROP_IN
        for path, text in files.items():
            (self._root / path).parent.mkdir(parents=True, exist_ok=True)
            (self._root / path).write_text(text, "ascii")


class Disk:
    """A disk that several hosts see: its owner through one loop device, each peer through another."""

    def __init__(self, image: Path, size: int) -> None:
        self.image, self._devices = image, list[str]()
        with image.open("wb") as file:
            file.truncate(size)

    def device(self, *, read_only: bool) -> str:
        """One more device that leads to it."""
        options = ("--read-only",) if read_only else ()
        device = tool("losetup", "--find", "--show", "--direct-io=on", *options, self.image)
        self._devices.append(device)
        return device

    def close(self) -> None:
        for device in self._devices:
            tool("losetup", "--detach", device)


def _children(pid: int) -> Sequence[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(word) for word in text.split()]
