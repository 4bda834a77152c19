"""The distribution's packages that a host needs, and the script that installs them. Pure.

dnf's names and options are covered by tests of the script; they have not been run on a real host.
"""

from __future__ import annotations

from collections.abc import Sequence

from blfs_mr.cluster.places import INITIATOR_FILE

_APT = {
    "targetcli": ("targetcli-fb", "python3-dbus"),
    "iscsiadm": ("open-iscsi",),
    "mkfs.ext4": ("e2fsprogs",),
    "mkfs.xfs": ("xfsprogs",),
}
_DNF = {
    "targetcli": ("targetcli",),
    "iscsiadm": ("iscsi-initiator-utils",),
    "mkfs.ext4": ("e2fsprogs",),
    "mkfs.xfs": ("xfsprogs",),
}

FOLDER = "/var/tmp/blfs-mr-packages"


def needed_tools(attach: str, layout: str, file_system: str) -> tuple[str, ...]:
    """The programs that a host with a volume needs beyond a bare system."""
    tools = ["targetcli", "iscsiadm"] if attach == "lio" else []
    if layout == "file":
        tools.append(f"mkfs.{file_system}")
    return tuple(tools)


def install_script(tools: Sequence[str], *, apt: bool, from_folder: bool) -> str:
    """A shell script that installs what brings ``tools``.

    ``from_folder`` installs the package files of a tar archive on the script's standard input instead.
    """
    names = [name for tool in tools for name in (_APT if apt else _DNF)[tool]]
    lines = ["set -e", "export LC_ALL=C DEBIAN_FRONTEND=noninteractive"]
    if from_folder:
        lines += [f"rm -rf {FOLDER}", f"mkdir -m 0700 {FOLDER}", f"tar -xf - -C {FOLDER}"]
        wanted = f"{FOLDER}/*.deb" if apt else f"{FOLDER}/*.rpm"
    else:
        wanted = " ".join(names)
    if apt:
        install = f"apt-get install -q -y --no-install-recommends {wanted}"
        # The lists of packages may be old or missing; where they are good, nothing is fetched.
        lines.append(install if from_folder else f"{install} || {{ apt-get update -q; {install}; }}")
    else:
        lines.append(f"dnf install -q -y {'--disablerepo=* ' if from_folder else ''}{wanted}")
    if from_folder:
        lines.append(f"rm -rf {FOLDER}")
    if "iscsiadm" in tools:
        lines += initiator_lines()
    return "\n".join(lines)


def initiator_lines() -> list[str]:
    """Shell lines that give the host an initiator name where it has none, and print it."""
    return [
        # Debian's package leaves it to the first start of the service.
        f"grep -qs ^InitiatorName= {INITIATOR_FILE} || "
        f"printf 'InitiatorName=%s\\n' \"$(iscsi-iname)\" >{INITIATOR_FILE}",
        f"echo @initiator; cat {INITIATOR_FILE}",
    ]
