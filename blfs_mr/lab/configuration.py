"""The configuration files of a lab's daemons. Pure."""

from __future__ import annotations

from blfs_mr.lab.plan import ADDRESS, LabPlan
from blfs_mr.model import VolumeLayout, WorkerName

CLUSTER = "lab"
"""The id of a lab's cluster."""

WORKER_TIMEOUT = 30
"""Seconds of silence after which a worker is lost: many, since all nodes share the cores of one machine. One
that dies is lost at once, by the end of its link."""


def master_configuration(plan: LabPlan) -> str:
    """The configuration of the master, and of whoever submits."""
    return _common(plan, f"{plan.folder}/master")


def worker_configuration(plan: LabPlan, node: WorkerName) -> str:
    """The configuration of the worker of ``node``: its own volume, and those of all its peers."""
    own = plan.attachment(node, node)
    text = _common(plan, f"{plan.node_folder(node)}/home")
    text += f'\n[worker]\nslots = {plan.slots}\nlayout = "{plan.layout.value}"\ndevice = "{own.device}"\n'
    text += 'grace = "0s"\n'
    if plan.layout is VolumeLayout.FILE:
        text += f'volume = "{own.mount}"\n'
    for peer in plan.nodes:
        if peer != node:
            seen = plan.attachment(node, peer)
            text += f'\n[[worker.peers]]\nname = "{peer}"\ndevice = "{seen.device}"\n'
            if plan.layout is VolumeLayout.FILE:
                text += f'mount = "{seen.mount}"\n'
    return text


def _common(plan: LabPlan, home: str) -> str:
    return (
        f'home = "{home}"\nsecret_file = "{plan.folder}/secret"\n'
        f'\n[cluster]\nid = "{CLUSTER}"\n'
        f'\n[master]\nhost = "{ADDRESS}"\nport = {plan.master_port}\nworker_timeout = "{WORKER_TIMEOUT}s"\n'
        # Who takes a lab down wants nothing more of it.
        'grace = "0s"\n'
    )
