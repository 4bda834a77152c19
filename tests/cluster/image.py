"""The root file system of the hosts of tests, made once by mmdebstrap and kept.

    python -m tests.cluster.image

It needs root, mmdebstrap and a way to the packages of the distribution; a build takes three minutes. What it
makes stands in ``$XDG_CACHE_HOME/blfs-mr-tests`` or ``/var/cache/blfs-mr-tests``, in a folder named by the
digest of the recipe, so that another version of it is another image.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.initrd import write_initrd

RELEASE = "bookworm"

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "kmod", "sudo", "procps", "iproute2", "iputils-ping"),
    *("openssh-server", "python3", "python3-venv", "python3-dbus", "busybox-static"),
    *("open-iscsi", "targetcli-fb", "e2fsprogs", "xfsprogs", "sg3-utils"),
)

SUDOER = "keeper"
"""A user who may run everything as root, with the same key as root."""

KEPT = 24 * 3600.0
"""Seconds for which images of other recipes stay."""

KERNEL = "linux-image-cloud-amd64"

UNUSED_DRIVERS = ("gpu", "infiniband", "net/ethernet", "nvme", "media", "hv", "hwmon", "usb")

# What a host of a test has no use for and an emulated one would lose seconds with.
MASKED_UNITS = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"),
    *("e2scrub_reap.service", "fstrim.timer", "systemd-timesyncd.service", "systemd-pstore.service"),
    *("getty@tty1.service", "getty-static.service", "console-getty.service", "ldconfig.service"),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-rfkill.socket"),
    *("systemd-journal-catalog-update.service", "systemd-hwdb-update.service", "systemd-firstboot.service"),
    *("systemd-boot-system-token.service", "systemd-logind.service", "systemd-network-generator.service"),
    *(
        "dev-hugepages.mount",
        "sys-kernel-debug.mount",
        "sys-kernel-tracing.mount",
        "sys-fs-fuse-connections.mount",
    ),
    *("modprobe@drm.service", "modprobe@efi_pstore.service", "modprobe@fuse.service", "dev-mqueue.mount"),
    *("systemd-tmpfiles-clean.timer", "systemd-remount-fs.service", "systemd-binfmt.service"),
)

_SSHD = """\
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
UsePAM no
PrintMotd no
GSSAPIAuthentication no
MaxStartups 100
HostKey /etc/ssh/ssh_host_ed25519_key
"""

_FILES = {
    "etc/ssh/sshd_config.d/tests.conf": _SSHD,
    "etc/systemd/journald.conf.d/tests.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n",
    "etc/systemd/network/90-none.network": "[Match]\nName=eth* host*\n[Network]\nLinkLocalAddressing=no\n",
    f"etc/sudoers.d/{SUDOER}": f"{SUDOER} ALL=(ALL) NOPASSWD: ALL\n",
    "etc/fstab": "",
    "etc/resolv.conf": "",
    "etc/machine-id": "",
    "etc/iscsi/initiatorname.iscsi": "GenerateName=yes\n",
}


@dataclass(frozen=True, slots=True)
class Image:
    """What hosts are made of."""

    folder: Path

    @property
    def root(self) -> Path:
        """The root file system, a folder; nobody writes to it."""
        return self.folder / "root"

    @property
    def disk(self) -> Path:
        """The same, with kernel modules, as a disk."""
        return self.folder / "disk.ext4"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd.img"

    @property
    def key(self) -> Path:
        """The private key with which root can log in, and SUDOER."""
        return self.folder / "key"


def cache_folder() -> Path:
    """Where images stand."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "blfs-mr-tests"


def present_image() -> Image | None:
    """The image of this recipe, if it has been built here."""
    folder = cache_folder() / _VERSION
    return Image(folder) if folder.is_dir() else None


def why_not() -> str:
    """Why no image can be built here; empty where one can."""
    if os.geteuid() != 0:
        return "needs root"
    if platform.machine() != "x86_64":
        return "needs an x86_64 machine"
    tools = ("mmdebstrap", "dpkg-deb", "ssh-keygen", "mkfs.ext4", "depmod", "modprobe", "cpio", "tar")
    missing = [tool for tool in tools if shutil.which(tool, path=_PATH) is None]
    return f"{', '.join(missing)} is not installed" if missing else ""


def build_image() -> Image:
    """Build the image of this recipe, if it is not there. Raises CalledProcessError."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if present := present_image():
            return present
        tree = _packages(cache)
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as name:
            building = Image(Path(name) / "image")
            building.folder.mkdir()
            _assemble(building, tree)
            final = cache / _VERSION
            building.folder.rename(final)
        for other in cache.iterdir():
            # Hosts of another checkout may run from a newer one.
            if other.is_dir() and other != final and time.time() - other.stat().st_mtime > KEPT:
                shutil.rmtree(other, ignore_errors=True)
        return Image(final)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_RECIPE = (Path(__file__), Path(__file__).with_name("initrd.py"))
_VERSION = _digest("".join(path.read_text("utf-8") for path in _RECIPE))
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _tool(*command: str | Path) -> str:
    environment = os.environ | {"PATH": _PATH, "LC_ALL": "C"}
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


def _packages(cache: Path) -> Path:
    """All packages installed in a tree, as a tar file; the kernel's package lies in ``/var/tmp``."""
    tree = cache / f"packages-{_digest(repr((RELEASE, PACKAGES, KERNEL, _FETCH_KERNEL)))}.tar"
    if tree.exists():
        return tree
    left_out = ("man", "doc", "locale", "info")
    partial = tree.with_suffix(".partial")
    _tool(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=tar"),
        f"--include={','.join(PACKAGES)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in left_out),
        "--dpkgopt=force-unsafe-io",
        '--aptopt=APT::Install-Recommends "false"',
        f"--customize-hook={_FETCH_KERNEL}",
        *(RELEASE, partial),
        *_own_sources(),
    )
    partial.rename(tree)
    for old in cache.glob("packages-*.tar"):
        if old != tree:
            old.unlink()
    return tree


# Unpacked, not installed: a host of a test needs neither a boot loader nor the tools that make its initrd.
_FETCH_KERNEL = (
    'cd "$1/var/tmp" && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && apt-get download -q '
    f"\"$(apt-cache depends {KERNEL} | sed -n 's/.*Depends: \\(linux-image-[0-9]\\)/\\1/p' | head -n 1)\""
)


def _own_sources() -> list[str | Path]:
    """Where this host has its packages from, if it is of the same release; otherwise the tool's default."""
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    same = f"VERSION_CODENAME={RELEASE}" in Path("/etc/os-release").read_text("utf-8")
    return [sources] if same and sources.exists() else []


def _assemble(image: Image, tree: Path) -> None:
    """The folder of an image from the tree of packages."""
    root = image.root
    root.mkdir()
    _tool("tar", "-C", root, "--numeric-owner", "--xattrs", "-xpf", tree, "--exclude=./dev/*")
    (package,) = (root / "var/tmp").glob("linux-image-*.deb")
    unpacked = image.folder / "kernel"
    # Not into the root, where it would put a folder in the place of the link /lib.
    _tool("dpkg-deb", "-x", package, unpacked)
    package.unlink()
    _configure(root, image.key)
    _kernel(image, unpacked)
    # With room for a few programs and volumes' folders; what is not written takes no space.
    _tool("truncate", "-s", "2G", image.disk)
    _tool("mkfs.ext4", "-q", "-F", "-L", "root", "-d", root, image.disk)
    shutil.rmtree(unpacked)


def _configure(root: Path, key: Path) -> None:
    _tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    for path, text in _FILES.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_text(text, "ascii")
    # No password that anything matches; without one the account would count as locked.
    _tool("chroot", root, "useradd", "--create-home", "--password", "*", SUDOER)
    for user, home in (("root", "root"), (SUDOER, f"home/{SUDOER}")):
        keys = root / home / ".ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        (keys / "authorized_keys").write_text(key.with_suffix(".pub").read_text("ascii"), "ascii")
        _tool("chroot", root, "chown", "-R", f"{user}:{user}", f"/{home}/.ssh")
    for kind in ("rsa", "ecdsa"):
        for file in (root / "etc/ssh").glob(f"ssh_host_{kind}_key*"):
            file.unlink()
    for unit in MASKED_UNITS:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    _tool("chroot", root, "systemctl", "-q", "enable", "systemd-networkd", "ssh")
    _tool("chroot", root, "systemctl", "-q", "set-default", "multi-user.target")
    for path in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / path, ignore_errors=True)


def _kernel(image: Image, unpacked: Path) -> None:
    (modules,) = (unpacked / "lib/modules").iterdir()
    version = modules.name
    for name in UNUSED_DRIVERS:
        shutil.rmtree(modules / "kernel/drivers" / name, ignore_errors=True)
    shutil.rmtree(modules / "kernel/sound", ignore_errors=True)
    place = image.root / "usr/lib/modules" / version
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(modules, place, symlinks=True)
    _tool("depmod", "-b", image.root, version)
    shutil.copyfile(unpacked / f"boot/vmlinuz-{version}", image.kernel)
    write_initrd(image.initrd, image.root, version)


def main() -> int:
    """Build the image, or say why there will be none; the tests that need it are skipped then."""
    if reason := why_not():
        print(f"no hosts for tests: {reason}", file=sys.stderr)
        return 0
    try:
        print(build_image().folder)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"no hosts for tests: the image cannot be built: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
