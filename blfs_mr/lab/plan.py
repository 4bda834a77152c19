"""What a lab consists of: nodes, their volumes, who attaches which, and where everything stands. Pure.

Every node owns one volume and reads those of all others, so ``n`` nodes make ``n * n`` attachments. The
names of devices are links in the lab's folder: configurations can be written before there is a device.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from blfs_mr.errors import UsageError
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.volume.attach import AttachRole

ADDRESS = "127.0.0.1"
"""Where all of a lab listens: it is one machine, and nobody else's."""

MOST_NODES = 16
"""Nodes of one lab: 256 devices and, over iSCSI, as many processes are what one machine should bear."""

_MIB = 1 << 20
_FILE_SYSTEM_ROOM = 24 * _MIB
"""For the metadata of a file system beside its files: a journal of 8 MiB and tables."""

STATE_NAME = "lab.json"


class Backend(enum.StrEnum):
    """How nodes reach disks."""

    LOOP = "loop"
    ISCSI = "iscsi"


@dataclass(frozen=True, slots=True)
class Attachment:
    """The volume of ``owner`` as ``node`` sees it, and the ``folder`` that holds its device and mount."""

    node: WorkerName
    owner: WorkerName
    folder: Path

    @property
    def role(self) -> AttachRole:
        return AttachRole.OWNER if self.node == self.owner else AttachRole.PEER

    @property
    def lun(self) -> Path:
        """The file that stands for the LUN where a process is the initiator."""
        return self.folder / "lun"

    @property
    def device(self) -> Path:
        """The link to the block device."""
        return self.folder / "device"

    @property
    def mount(self) -> Path:
        """Where it is mounted in the file layout."""
        return self.folder / "mount"


@dataclass(frozen=True, slots=True)
class LabPlan:
    """A lab in ``folder``.

    ``mark`` is in the environment of each of its processes. ``portals`` are the ports of the targets, one for
    each node, empty without iSCSI; ``in_kernel`` says that open-iscsi logs in, not processes of the lab's.
    ``shared_file_size`` is in bytes, ``session_timeout`` in seconds.
    """

    folder: Path
    mark: str
    backend: Backend
    layout: VolumeLayout
    nodes: tuple[WorkerName, ...]
    shared_files: int
    shared_file_size: int
    slots: int
    master_port: int
    portals: tuple[int, ...]
    in_kernel: bool
    session_timeout: float

    @property
    def state(self) -> Path:
        """The file that says what this lab is."""
        return self.folder / STATE_NAME

    @property
    def config(self) -> Path:
        """The configuration of the master and of submitters."""
        return self.folder / "config.toml"

    @property
    def master_log(self) -> Path:
        return self.folder / "master.log"

    def node_folder(self, node: WorkerName) -> Path:
        """Everything of one node."""
        return self.folder / node

    def node_config(self, node: WorkerName) -> Path:
        return self.node_folder(node) / "config.toml"

    def node_log(self, node: WorkerName) -> Path:
        return self.node_folder(node) / "worker.log"

    def image(self, node: WorkerName) -> Path:
        """The disk of a node."""
        return self.node_folder(node) / "disk.image"

    def image_size(self) -> int:
        """Bytes of each disk: its shared files, and what the layout needs beside them."""
        data = self.shared_files * self.shared_file_size
        if self.layout is VolumeLayout.RAW:
            return (data // _MIB + 2) * _MIB
        return (data + data // 16 + _FILE_SYSTEM_ROOM) // _MIB * _MIB

    def portal(self, owner: WorkerName) -> int:
        """The port of the target of a node's disk."""
        return self.portals[self.nodes.index(owner)]

    def attachment(self, node: WorkerName, owner: WorkerName) -> Attachment:
        """How ``node`` sees the volume of ``owner``."""
        return Attachment(node, owner, self.node_folder(node) / "volumes" / owner)

    def attachments(self) -> Iterator[Attachment]:
        """All of them, those of owners first: a volume is formatted before any peer attaches it."""
        yield from (self.attachment(node, node) for node in self.nodes)
        yield from (
            self.attachment(node, owner) for node in self.nodes for owner in self.nodes if node != owner
        )


def node_names(count: int) -> tuple[WorkerName, ...]:
    """The names of so many nodes."""
    return tuple(WorkerName(f"node-{number}") for number in range(1, count + 1))


def pack_state(plan: LabPlan) -> str:
    """The text of the state file."""
    return json.dumps(asdict(plan) | {"folder": str(plan.folder)}, indent=2) + "\n"


def parse_state(text: str) -> LabPlan:
    """The plan in a state file. Raises UsageError where it is none of ours."""
    try:
        given = json.loads(text)
        return LabPlan(
            **given
            | {
                "folder": Path(given["folder"]),
                "backend": Backend(given["backend"]),
                "layout": VolumeLayout(given["layout"]),
                "nodes": tuple(given["nodes"]),
                "portals": tuple(given["portals"]),
            }
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"this is no state of a lab of this version: {error}") from error
