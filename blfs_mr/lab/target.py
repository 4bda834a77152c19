"""The commands of tgt, the userspace iSCSI target: what exports the disk of one node. Pure.

In tgt it is a target that knows initiators, not a LUN. So a disk is exported as two targets with one LUN
each: its owner's, which can be written, and its peers', which is write-protected. Each admits initiators by
name, and nobody else even sees it. Commands run in the node's folder: the path of a socket may not be long.
"""

from __future__ import annotations

from collections.abc import Iterator

from blfs_mr.lab.plan import ADDRESS, Attachment, LabPlan
from blfs_mr.model import WorkerName
from blfs_mr.volume.attach import AttachRole

LUN = 1
"""The number of the disk in a target; 0 is the target's controller."""

CONTROL = {"TGT_IPC_SOCKET": "tgtd.socket"}
"""The environment by which tgtd and tgtadm find each other, and no others of this host."""

_PEERS = ".peers"


def target_name(attachment: Attachment) -> str:
    """The target (IQN) through which a node reaches a volume."""
    name = f"iqn.2022-05.{ADDRESS}:{attachment.owner}"
    return name if attachment.role is AttachRole.OWNER else name + _PEERS


def initiator_name(node: WorkerName) -> str:
    """As whom (IQN) a node logs in."""
    return f"iqn.2022-05.{ADDRESS}:{node}.initiator"


def target_daemon(plan: LabPlan, owner: WorkerName) -> list[str]:
    """The target of one node, in the foreground."""
    return ["tgtd", "--foreground", "--iscsi", f"portal={ADDRESS}:{plan.portal(owner)}"]


def look_at_targets() -> list[str]:
    """Succeeds once the daemon answers."""
    return _admin("show", "target")


def export(plan: LabPlan, owner: WorkerName) -> Iterator[list[str]]:
    """The commands that export the disk of ``owner``, to itself and to its peers."""
    peers = [node for node in plan.nodes if node != owner]
    for number, nodes in ((1, [owner]), (2, peers)):
        if not nodes:
            continue
        place = ["--tid", str(number)]
        lun = [*place, "--lun", str(LUN)]
        yield _admin("new", "target", *place, "--targetname", target_name(plan.attachment(nodes[0], owner)))
        yield _admin("new", "logicalunit", *lun, "--backing-store", str(plan.image(owner)))
        if nodes is peers:
            yield _admin("update", "logicalunit", *lun, "--params", "readonly=1")
        for node in nodes:
            yield _admin("bind", "target", *place, "--initiator-name", initiator_name(node))


def _admin(operation: str, mode: str, *options: str) -> list[str]:
    return ["tgtadm", "--lld", "iscsi", "--op", operation, "--mode", mode, *options]
