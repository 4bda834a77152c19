"""Hosts in QEMU: a kernel of their own each, and with it real iSCSI, target and initiator.

They run on KVM where a trial shows that a host boots on it, and are emulated where not: nested virtualization
is rare where tests run, and a device /dev/kvm says little.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.cluster.host import Host
from tests.cluster.image import Image
from tests.cluster.initrd import TRIAL
from tests.cluster.network import Network
from tests.cluster.tools import ENVIRONMENT, tool

MEMORY = 448
"""MiB of each host: 300 are in use with a job running."""

TRANSLATED = 128
"""MiB that an emulator may use for translated code."""

TRIAL_DEADLINE = 10.0
"""Seconds in which KVM must have brought a kernel to its first program, where two are usual."""

_MACHINE = ("-M", "q35", "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none")

_CMDLINE = (
    "console=ttyS0 quiet loglevel=4 mitigations=off nokaslr audit=0 nowatchdog random.trust_cpu=on "
    "net.ifnames=0 8250.nr_uarts=1 systemd.show_status=0"
)


def why_not() -> str:
    """Why there can be no emulated hosts here; empty where there can."""
    if os.geteuid() != 0:
        return "needs root"
    if platform.machine() != "x86_64":
        return "needs an x86_64 machine"
    tools = ("qemu-system-x86_64", "qemu-img", "nsenter", "ip", "ssh")
    missing = [name for name in tools if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    return "" if os.path.exists("/dev/net/tun") else "needs /dev/net/tun"


@cache
def accelerator(kernel: Path, initrd: Path) -> tuple[str, ...]:
    """QEMU's options for what executes the hosts' code."""
    # The plainest processor: an emulator takes longer for the wide registers that libraries use elsewhere.
    emulated = ("-accel", f"tcg,thread=multi,tb-size={TRANSLATED}", "-cpu", "qemu64")
    native = ("-accel", "kvm", "-cpu", "max,la57=off")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return emulated
    trial = [
        *("qemu-system-x86_64", *_MACHINE, *native, "-m", "256", "-no-reboot", "-serial", "stdio"),
        *("-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 panic=-1 host.trial"),
    ]
    try:
        said = subprocess.run(
            trial, stdin=subprocess.DEVNULL, capture_output=True, timeout=TRIAL_DEADLINE, check=False
        ).stdout
    except subprocess.TimeoutExpired:
        return emulated
    return native if TRIAL.encode() in said else emulated


class Emulator(Host):
    """One host, with a second disk /dev/vdb of ``disk_size`` bytes."""

    def __init__(self, number: int, network: Network, image: Image, folder: Path, disk_size: int) -> None:
        super().__init__(number, network, image.key, folder)
        self._image = image
        self._process: subprocess.Popen[bytes] | None = None
        self._tap = f"tap{number}"
        network.add_tap(self._tap)
        self._root, self._disk = folder / "root.qcow2", folder / "disk.raw"
        tool("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image.disk, self._root)
        with self._disk.open("wb") as file:
            file.truncate(disk_size)

    def power_on(self) -> None:
        machine = hashlib.md5(f"{self.network.name}{self.name}".encode(), usedforsecurity=False).hexdigest()
        identity = f"host.name={self.name} host.address={self.address} host.machine={machine}"
        image = self._image
        command = self.network.command(
            *("qemu-system-x86_64", "-name", self.name, *_MACHINE, *accelerator(image.kernel, image.initrd)),
            *("-m", str(MEMORY), "-smp", "1"),
            *("-kernel", image.kernel, "-initrd", image.initrd, "-append", f"{_CMDLINE} {identity}"),
            *self._disk_options("root", self._root, "qcow2", "unsafe"),
            # A shared disk loses its power with the host, so what was flushed must be there.
            *self._disk_options("disk", self._disk, "raw", "writeback"),
            *("-netdev", f"tap,id=net,ifname={self._tap},script=no,downscript=no"),
            *("-device", f"virtio-net-pci,netdev=net,mac=52:54:00:78:00:{10 + self.number:02x}"),
            *("-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"),
            *("-serial", f"file:{self.console}"),
        )
        with (self.folder / "emulator").open("ab") as said:
            self._process = subprocess.Popen(
                command,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def cut_power(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def is_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _disk_options(self, name: str, file: Path, kind: str, cache: str) -> tuple[str, ...]:
        drive = f"if=none,id={name},file={file},format={kind},cache={cache},discard=unmap"
        return ("-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}")
