"""The phases of making a host part of a cluster, and of letting it go. Between two of them all hosts wait.

A peer's volume can be attached only when its owner has exported and formatted it, and a target must not go
while others are logged in to it: hence two phases each way.
"""

from __future__ import annotations

import enum
import json
import os

from blfs_mr.cluster.host.base import base_steps, enable_step, files_step
from blfs_mr.cluster.host.iscsi import (
    export_step,
    login_step,
    logout_step,
    services_step,
    shutdown_step,
    unexport_step,
)
from blfs_mr.cluster.host.leaving import accounts_gone_step, files_gone_step, stopped_step, wiped_step
from blfs_mr.cluster.host.steps import Step
from blfs_mr.cluster.host.system import System
from blfs_mr.cluster.host.units import current_step, reload_step
from blfs_mr.cluster.host.volumes import attach_step, format_step
from blfs_mr.cluster.places import MANAGED_FILE
from blfs_mr.cluster.plan import HostPlan, Login


class Phase(enum.StrEnum):
    """A part of a plan that a host carries out without waiting for others."""

    CONFIGURE = "configure"
    PREPARE = "prepare"
    JOIN = "join"
    LEAVE = "leave"
    REMOVE = "remove"


def steps_of(plan: HostPlan, phase: Phase) -> list[Step]:
    """The steps of one phase, in their order."""
    match phase:
        case Phase.CONFIGURE:
            return [files_step("the configuration", plan.files), reload_step(plan)]
        case Phase.PREPARE:
            return _prepare(plan)
        case Phase.JOIN:
            return _join(plan)
        case Phase.LEAVE:
            peers = [login for login in plan.logins if login.worker != plan.name]
            return [stopped_step(plan), logout_step("logouts from peers", peers)]
        case Phase.REMOVE:
            return _remove(plan)


def _prepare(plan: HostPlan) -> list[Step]:
    steps = base_steps(plan)
    if plan.export is not None:
        own = login_step("own login", plan.own_logins, plan.replacement_timeout)
        steps += [services_step(), export_step(plan.export), own]
    if plan.own is not None:
        steps.append(format_step(plan.name, plan.own))
    return steps


def _join(plan: HostPlan) -> list[Step]:
    steps = [gone_step(plan)]
    if plan.export is not None:
        steps += [login_step("peers' logins", plan.logins, plan.replacement_timeout), shutdown_step()]
    if plan.own is not None:
        steps.append(attach_step(plan))
    return [*steps, enable_step(plan), reload_step(plan), current_step(plan)]


def _remove(plan: HostPlan) -> list[Step]:
    steps: list[Step] = []
    if plan.export is not None:
        steps += [logout_step("own logout", plan.own_logins), unexport_step(plan.export)]
    if plan.own is not None:
        # The device of the target: the login is gone by now.
        device = plan.export.device if plan.export is not None else plan.own.device
        steps.append(wiped_step(plan.name, device))
    return [*steps, files_gone_step(plan), accounts_gone_step()]


def gone_step(plan: HostPlan) -> Step:
    """What an earlier plan had here, and this one has not, is given up: peers that have left the cluster."""

    def apply(system: System) -> bool:
        before = json.loads(system.read(MANAGED_FILE) or "{}")
        stay_mounts = {peer.mount for peer in plan.peers}
        changed = False
        for mount in before.get("mounts", ()):
            if mount not in stay_mounts and os.path.ismount(mount):
                system.run(["umount", mount])
                changed = True
        stay = {(login.target, login.address) for login in plan.logins}
        logins = [Login(**entry) for entry in before.get("logins", ())]
        left = [login for login in logins if (login.target, login.address) not in stay]
        changed |= logout_step("", left).apply(system)
        managed = {
            "mounts": [peer.mount for peer in plan.peers if peer.mount],
            "logins": [login.model_dump(exclude={"user", "password"}) for login in plan.logins],
        }
        text = json.dumps(managed, indent=2) + "\n"
        system.write(MANAGED_FILE, text, mode=0o644, user="root", group="root")
        return changed

    return Step("peers that have left", ["# unmounts and logouts of what is no longer in the plan"], apply)
