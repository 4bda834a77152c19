"""What a host is like before anything is done to it: one script's output, and how it is read.

The script needs a POSIX shell alone, so that a bare host can answer, and asks everything at once, so that it
costs one round trip. Its output is sections that begin with ``@name``. It changes nothing.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blfs_mr.cluster.places import BUNDLE_FILE, FOLDERS_WITH_SPACE, INITIATOR_FILE, VOLUME_GROUP

TOOLS = ("apt-get", "dnf", "systemctl", "targetcli", "iscsiadm", "mkfs.ext4", "mkfs.xfs", "blkid")

RAW_MAGIC = b"blfs-vol".hex()
"""How a volume in the raw layout begins; blkid(8) does not know it."""


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A device, with what lsblk(8) and blkid(8) say of it. ``size`` is bytes.

    ``holds`` names what is on it, empty for nothing that is known; ``mounts`` and ``parts`` are of the device
    and of whatever is made of it.
    """

    path: str
    kind: str
    size: int
    read_only: bool
    sector: int
    holds: str
    mounts: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host. ``clock`` is seconds since 1970, ``free`` bytes by folder; empty values were not found."""

    system: str
    system_like: frozenset[str]
    machine: str
    python: str
    user: int
    clock: float
    free: dict[str, int]
    modules: frozenset[str]
    tools: frozenset[str]
    initiator: str
    group_of_gid: str
    gid_of_group: str
    bundle: str
    machine_id: str
    devices: dict[str, BlockDevice | None]


def facts_script(devices: Sequence[str], modules: Sequence[str], gid: int) -> str:
    """The script that tells about ``devices``, kernel ``modules`` and the group ``gid``. Runs as root."""
    lines = [
        "LC_ALL=C; export LC_ALL; PATH=$PATH:/usr/sbin:/sbin",
        "echo @system; cat /etc/os-release",
        "echo @machine; uname -m",
        "echo @python; python3 -c 'import sys, venv; print(\"%d.%d\" % sys.version_info[:2])'",
        "echo @user; id -u",
        "echo @clock; date +%s.%N",
        f"echo @free; df -Pk {' '.join(FOLDERS_WITH_SPACE)}",
        "echo @modules",
        *(f"modprobe -n -q {module} && echo {module}" for module in modules),
        "echo @tools",
        *(f"command -v {tool} >/dev/null && echo {tool}" for tool in TOOLS),
        f"echo @initiator; cat {INITIATOR_FILE}",
        f"echo @group-of-gid; getent group {gid} | cut -d: -f1",
        f"echo @gid-of-group; getent group {VOLUME_GROUP} | cut -d: -f3",
        f"echo @bundle; cat {BUNDLE_FILE}",
        "echo @machine-id; cat /etc/machine-id",
    ]
    columns = "NAME,TYPE,SIZE,RO,LOG-SEC,MOUNTPOINTS"
    for device in devices:
        quoted = shlex.quote(device)
        lines += [
            f"echo @device {quoted}; lsblk --json --bytes --output {columns} {quoted}",
            f"echo @holds {quoted}; blkid -p -o export {quoted}",
            f"echo @magic {quoted}; head -c 8 {quoted} | od -An -tx1",
        ]
    # What a host does not have is no failure of the question.
    return "{\n" + "\n".join(lines) + "\n} 2>/dev/null\ntrue\n"


def parse_facts(output: str) -> HostFacts:
    """The host that printed ``output``. What a section lacks is empty in the result."""
    sections: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        if line.startswith("@"):
            name = line[1:].strip()
            sections[name] = ""
        elif name:
            sections[name] += f"{line}\n"

    def first(section: str) -> str:
        return sections.get(section, "").strip().partition("\n")[0]

    system = _assignments(sections.get("system", ""))
    devices = {
        key.removeprefix("device "): parse_device(
            text, sections.get(f"holds {key[7:]}", ""), sections.get(f"magic {key[7:]}", "")
        )
        for key, text in sections.items()
        if key.startswith("device ")
    }
    return HostFacts(
        system=system.get("PRETTY_NAME", system.get("NAME", "")),
        system_like=frozenset(f"{system.get('ID', '')} {system.get('ID_LIKE', '')}".split()),
        machine=first("machine"),
        python=first("python"),
        user=int(first("user") or -1),
        clock=float(first("clock") or 0),
        free=_free(sections.get("free", "")),
        modules=frozenset(sections.get("modules", "").split()),
        tools=frozenset(sections.get("tools", "").split()),
        initiator=parse_initiator(sections.get("initiator", "")),
        group_of_gid=first("group-of-gid"),
        gid_of_group=first("gid-of-group"),
        bundle=first("bundle"),
        machine_id=first("machine-id"),
        devices=devices,
    )


def parse_initiator(text: str) -> str:
    """The name in an ``initiatorname.iscsi``; empty where it is still to be made."""
    found = re.search(r"^InitiatorName=(\S+)$", text, re.MULTILINE)
    return found[1] if found else ""


def parse_device(listing: str, holds: str, magic: str) -> BlockDevice | None:
    """The device of an output of ``lsblk --json`` for it; None where there is none."""
    try:
        top = json.loads(listing)["blockdevices"][0]
    except (ValueError, KeyError, IndexError):
        return None
    below = list(_below(top))
    signature = _assignments(holds)
    kind = signature.get("TYPE", signature.get("PTTYPE", ""))
    label = f" labelled {signature['LABEL']}" if "LABEL" in signature else ""
    if magic.replace(" ", "").strip() == RAW_MAGIC:
        kind, label = "blfs-mr", ""
    return BlockDevice(
        path=f"/dev/{top['name']}",
        kind=top["type"],
        size=int(top["size"]),
        read_only=top["ro"] in (True, "1", 1),
        sector=int(top["log-sec"]),
        holds=f"{kind}{label}" if kind else "",
        mounts=tuple(point for entry in (top, *below) for point in entry.get("mountpoints") or () if point),
        parts=tuple(entry["name"] for entry in below),
    )


def _below(entry: dict[str, Any]) -> list[dict[str, Any]]:
    children: list[dict[str, Any]] = entry.get("children", [])
    return [found for child in children for found in (child, *_below(child))]


def _assignments(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value.strip("\"'") for key, equals, value in pairs if equals}


def _free(text: str) -> dict[str, int]:
    # A line has file system, 1024-blocks, used, available, capacity and mount point (POSIX, df -P).
    rows = [line.split() for line in text.splitlines() if not line.startswith("Filesystem")]
    return {
        folder: int(row[3]) * 1024
        for folder, row in zip(FOLDERS_WITH_SPACE, rows, strict=False)
        if len(row) >= 6 and row[3].isdigit()
    }
