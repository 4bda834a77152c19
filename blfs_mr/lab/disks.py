"""Brings disks to nodes and takes them away: targets, sessions, devices, mounts. Needs root.

Nothing here keeps a record. What there is of a lab is what the kernel says there is in the lab's folder, so
that what is half made can be taken away as well.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial

from blfs_mr.errors import BlfsMrError, VolumeError
from blfs_mr.lab.initiator import (
    delete_interface,
    kernel_disk,
    kernel_login,
    kernel_logout,
    login_process,
    new_interface,
)
from blfs_mr.lab.loops import end_loop, loops_over, make_loop, make_writable
from blfs_mr.lab.plan import Attachment, Backend, LabPlan
from blfs_mr.lab.processes import Kind, environment, marked, run, signal_marked, start, stop, wait_until
from blfs_mr.lab.target import CONTROL, export, look_at_targets, target_daemon
from blfs_mr.linux import device_number, read_mounts
from blfs_mr.model import WorkerName
from blfs_mr.volume.attach import AttachRole

READY_DEADLINE = 60.0
"""Seconds for a target to answer or a disk to appear, which take a fraction of one on an idle machine."""

UNMOUNT_DEADLINE = 10.0
"""Seconds that one unmount gets: on a dead disk it hangs."""

FREE_DEADLINE = 20.0
"""Seconds that disks get to be free before their sessions are ended: then what waits for them fails."""

FORCE_DEADLINE = 10.0
"""Seconds that a process gets between the request to end and force, and after force."""


def start_target(plan: LabPlan, owner: WorkerName) -> None:
    """Export the disk of ``owner`` from a target of its own. Raises VolumeError or UsageError."""
    folder = plan.node_folder(owner)
    env = environment(plan.mark, Kind.TARGET, owner) | CONTROL
    log = folder / "target.log"
    process = start(target_daemon(plan, owner), log, env=env, cwd=folder)

    def answers() -> bool:
        with contextlib.suppress(VolumeError):
            run(look_at_targets(), env=env, cwd=folder)
            return True
        return process.poll() is not None

    if not wait_until(answers, READY_DEADLINE) or process.poll() is not None:
        raise VolumeError(f"the target of {owner} does not run; it said: {log.read_text(errors='replace')}")
    for command in export(plan, owner):
        run(command, env=env, cwd=folder)


def kill_target(plan: LabPlan, owner: WorkerName) -> None:
    """End the target of ``owner`` at once, as the death of its host would."""
    signal_marked(signal.SIGKILL, plan.mark, Kind.TARGET, owner)
    if not wait_until(lambda: not any(marked(plan.mark, Kind.TARGET, owner)), FORCE_DEADLINE):
        raise VolumeError(f"the target of {owner} outlives SIGKILL: it hangs in the kernel")


def make_interfaces(plan: LabPlan) -> None:
    """Where open-iscsi logs in: an initiator's name for each node."""
    if plan.in_kernel:
        for node in plan.nodes:
            for command in new_interface(plan, node):
                run(command)


def connect(plan: LabPlan, attachment: Attachment) -> None:
    """Make ``attachment.device`` lead to the disk, as the backend does. Raises VolumeError or UsageError."""
    attachment.folder.mkdir(parents=True)
    if plan.in_kernel:
        for command in kernel_login(plan, attachment):
            run(command)
        if not wait_until(lambda: bool(kernel_disk(plan, attachment)), READY_DEADLINE):
            raise VolumeError(f"{attachment.node} is logged in to {attachment.owner}, but no disk appeared")
        device = kernel_disk(plan, attachment)
    else:
        if plan.backend is Backend.ISCSI:
            log_in(plan, attachment)
        device = run(make_loop(plan, attachment), env=environment(plan.mark, Kind.TOOL, attachment.node))
        if attachment.role is AttachRole.OWNER:
            run(make_writable(device))
    attachment.device.symlink_to(device)


def log_in(plan: LabPlan, attachment: Attachment) -> None:
    """Have a process log in, and show the LUN as a file. Raises VolumeError with the target's refusal."""
    attachment.lun.touch()
    env = environment(plan.mark, Kind.INITIATOR, attachment.owner)
    run(login_process(plan, attachment, attachment.folder / "initiator.pid"), env=env)


def end_sessions(plan: LabPlan, owner: WorkerName) -> None:
    """End the sessions with the target of ``owner``: what waits for it fails, as after their timeout."""
    signal_marked(signal.SIGKILL, plan.mark, Kind.INITIATOR, owner)
    wait_until(lambda: not any(marked(plan.mark, Kind.INITIATOR, owner)), FORCE_DEADLINE)


def end_dead_sessions(plan: LabPlan) -> None:
    """End the sessions with targets that are gone: what waits for one would wait until its timeout."""
    if plan.backend is Backend.ISCSI:
        for owner in plan.nodes:
            if not any(marked(plan.mark, Kind.TARGET, owner)):
                end_sessions(plan, owner)


# ---------------------------------------------------------------- taking away


def take_away(plan: LabPlan) -> list[str]:
    """Unmount, end devices, sessions and targets, what there is of them; return what could not be ended."""
    failures: list[str] = []
    dead = stop(plan.mark, Kind.TOOL, FORCE_DEADLINE) & stop(plan.mark, Kind.KEEPER, FORCE_DEADLINE)
    failures += _free_disks(plan)
    if plan.in_kernel:
        _log_out(plan, failures)
    # Initiators unmount their files themselves, unless they were killed.
    dead &= stop(plan.mark, Kind.INITIATOR, FORCE_DEADLINE)
    for mount in reversed(read_mounts()):
        if mount.point.startswith(f"{plan.folder}/"):
            _try(failures, run, ["umount", "--lazy", mount.point])
    # tgtd ignores a request to end while it has targets, and has nothing to lose.
    signal_marked(signal.SIGKILL, plan.mark, Kind.TARGET)
    dead &= stop(plan.mark, Kind.TARGET, FORCE_DEADLINE)
    return failures if dead else [*failures, "processes that hang in the kernel are left"]


def _free_disks(plan: LabPlan) -> list[str]:
    """Unmount all disks of the lab and end its loop devices; return what went wrong.

    Again and again: programs that a killed ``lab up`` has left, or that look into each new mount, hold them
    for a moment. What holds them longer waits for a dead disk, and ends when the disk has no session.
    """
    failures: list[str] = []

    def are_free(*options: str) -> bool:
        failures[:] = _try_to_free_disks(plan, options)
        return not failures

    if not wait_until(are_free, FREE_DEADLINE):
        signal_marked(signal.SIGKILL, plan.mark, Kind.INITIATOR)
        wait_until(lambda: are_free("--lazy"), FREE_DEADLINE)
    return failures


def _try_to_free_disks(plan: LabPlan, options: Sequence[str]) -> list[str]:
    failures: list[str] = []
    devices = list(loops_over(plan.folder))
    numbers = {device_number(device) for device in [*devices, *_kernel_disks(plan)]}
    for mount in reversed(read_mounts()):
        if mount.device in numbers:
            unmount = ["umount", *options, mount.point]
            _try(failures, partial(run, unmount, deadline=UNMOUNT_DEADLINE))
            if not mount.point.startswith(f"{plan.folder}/"):
                # A folder that was made for a moment, by a format that was cut short.
                with contextlib.suppress(OSError):
                    os.rmdir(mount.point)
    if not failures:
        for device in devices:
            _try(failures, run, make_writable(device))
            _try(failures, run, end_loop(device))
        failures += [f"{device} is still in use" for device in loops_over(plan.folder)]
    return failures


def _kernel_disks(plan: LabPlan) -> list[str]:
    """The disks to which open-iscsi is logged in for the lab."""
    if not plan.in_kernel:
        return []
    return [disk for attachment in plan.attachments() if (disk := kernel_disk(plan, attachment))]


def _log_out(plan: LabPlan, failures: list[str]) -> None:
    for attachment in plan.attachments():
        if kernel_disk(plan, attachment):
            for command in kernel_logout(plan, attachment):
                _try(failures, run, command)
    for node in plan.nodes:
        # There is none where a lab was cut short before.
        with contextlib.suppress(VolumeError):
            run(delete_interface(plan, node))


def _try(failures: list[str], action: Callable[..., object], *arguments: object) -> None:
    try:
        action(*arguments)
    except (BlfsMrError, OSError) as error:
        failures.append(str(error))
