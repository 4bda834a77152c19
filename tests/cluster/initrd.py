"""The first file system of an emulated host: finds the disk, gives the host its identity, starts systemd.

Its own, since what a distribution makes takes an emulator a minute to get through.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

MODULES = ("virtio_pci", "virtio_blk", "virtio_net")

TRIAL = "this machine boots"
"""What is printed, and no more done, where the kernel's command line has ``host.trial``."""

# An identity stays as it was made at the first boot of a disk.
_INIT = r"""#!/bin/busybox sh
export PATH=/bin; /bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
while read module; do insmod /modules/$module; done </modules/order
for word in $(cat /proc/cmdline); do case $word in
    host.trial) echo TRIAL; poweroff -f;;
    host.name=*) name=${word#*=};; host.address=*) address=${word#*=};; host.machine=*) machine=${word#*=};;
esac; done
tries=0; while [ ! -b /dev/vda ] && [ $tries -lt 400 ]; do tries=$((tries+1)); usleep 50000; done
mount -t ext4 -o rw,noatime /dev/vda /root || { echo "no root file system"; poweroff -f; }
if [ ! -s /root/etc/machine-id ]; then
    echo $name >/root/etc/hostname; echo $machine >/root/etc/machine-id
    printf '127.0.0.1 localhost %s\n' $name >/root/etc/hosts
    printf '[Match]\nName=eth0\n[Network]\nAddress=%s/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
        $address >/root/etc/systemd/network/10-eth0.network
fi
umount /proc; umount /sys; mount --move /dev /root/dev
exec switch_root /root /sbin/init
""".replace("TRIAL", TRIAL)


def write_initrd(path: Path, root: Path, version: str) -> None:
    """Write the initrd for kernel ``version``, with busybox and modules of the file system at ``root``."""
    tree = path.parent / "initrd"
    for folder in ("bin", "dev", "proc", "sys", "root", "modules"):
        (tree / folder).mkdir(parents=True)
    _copy(root / "bin/busybox", tree / "bin/busybox")
    order = []
    for module in _needed_modules(root, version):
        _copy(module, tree / "modules" / module.name)
        order.append(f"{module.name}\n")
    (tree / "modules/order").write_text("".join(order), "ascii")
    (tree / "init").write_text(_INIT, "ascii")
    (tree / "init").chmod(0o755)
    names = "\n".join(str(entry.relative_to(tree)) for entry in sorted(tree.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        cwd=tree,
        input=names.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    path.write_bytes(packed.stdout)
    shutil.rmtree(tree)


def _needed_modules(root: Path, version: str) -> list[Path]:
    """The modules' files, each after those that it needs."""
    found: dict[Path, None] = {}
    for module in MODULES:
        shown = subprocess.run(
            ["modprobe", "-d", str(root), "-S", version, "--show-depends", module],
            env=os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for line in shown.splitlines():
            verb, _, rest = line.partition(" ")
            if verb == "insmod":
                found[Path(os.path.normpath(rest.strip()))] = None
    return list(found)


def _copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
    target.chmod(0o755)
