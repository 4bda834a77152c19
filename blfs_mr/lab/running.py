"""A lab from ``up`` to ``down``: disks, volumes, and the daemons on them. Needs root."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from blfs_mr.errors import BlfsMrError, UsageError, VolumeError
from blfs_mr.lab.configuration import CLUSTER, master_configuration, worker_configuration
from blfs_mr.lab.disks import (
    FORCE_DEADLINE,
    connect,
    end_dead_sessions,
    make_interfaces,
    start_target,
    take_away,
)
from blfs_mr.lab.initiator import KERNEL_TRANSPORT
from blfs_mr.lab.plan import ADDRESS, STATE_NAME, Attachment, Backend, LabPlan, pack_state, parse_state
from blfs_mr.lab.processes import (
    MASTER,
    Kind,
    environment,
    marked,
    run,
    signal_marked,
    start,
    stop,
    wait_until,
)
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.submission.client import Client, read_secret
from blfs_mr.volume.attach import AttachRole, attach
from blfs_mr.volume.format import FormatPlan, format_volume
from blfs_mr.volume.geometry import uniform_files

DAEMON_DEADLINE = 60.0
"""Seconds for daemons to start and register; they take about one on an idle machine."""

_PORTS = range(20_000, 32_000)
"""Below those that the kernel gives to connections, so that none of these takes a port before its server."""

_PACKAGES = {
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "tgtd": "tgt",
    "tgtadm": "tgt",
    "qemu-storage-daemon": "qemu-utils",
    "fusermount3": "fuse3",
}
"""The Debian packages of the programs that a lab needs."""


def why_not(backend: Backend, layout: VolumeLayout) -> str:
    """Why there can be no such lab here, and what to do; empty where there can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists("/dev/loop-control"):
        return "needs loop devices (/dev/loop-control; `modprobe loop`)"
    needed = ["losetup"] if layout is VolumeLayout.RAW else ["losetup", "mkfs.ext4"]
    if backend is Backend.ISCSI:
        needed += ["tgtd", "tgtadm"]
        if not can_log_in_by_kernel():
            needed += ["qemu-storage-daemon", "fusermount3"]
    for program in needed:
        if shutil.which(program) is None:
            return f"{program} is not installed (package {_PACKAGES[program]})"
    if "qemu-storage-daemon" in needed:
        if not os.path.exists("/dev/fuse"):
            return "needs FUSE (/dev/fuse; `modprobe fuse`)"
        return _why_no_process_can_log_in()
    return ""


def can_log_in_by_kernel() -> bool:
    """Whether open-iscsi is there, and the kernel's iSCSI that it drives."""
    return KERNEL_TRANSPORT.exists() and shutil.which("iscsiadm") is not None


def new_plan(
    folder: Path,
    backend: Backend,
    layout: VolumeLayout,
    nodes: tuple[WorkerName, ...],
    *,
    shared_files: int,
    shared_file_size: int,
    slots: int,
    session_timeout: float,
) -> LabPlan:
    """A plan with ports that nobody listens on, and a mark that no other lab has."""
    ports = _free_ports(1 + (len(nodes) if backend is Backend.ISCSI else 0))
    return LabPlan(
        folder=folder.resolve(),
        mark=os.urandom(4).hex(),
        backend=backend,
        layout=layout,
        nodes=nodes,
        shared_files=shared_files,
        shared_file_size=shared_file_size,
        slots=slots,
        master_port=ports[0],
        portals=tuple(ports[1:]),
        in_kernel=backend is Backend.ISCSI and can_log_in_by_kernel(),
        session_timeout=session_timeout,
    )


def load_plan(folder: Path) -> LabPlan:
    """The plan of the lab in ``folder``. Raises UsageError where there is none."""
    try:
        return parse_state((folder / STATE_NAME).read_text())
    except OSError as error:
        raise UsageError(
            f"{folder} holds no lab ({STATE_NAME}: {error.strerror}): if one was to be made there, nothing "
            "of it was made yet, and the folder can be deleted"
        ) from error


def up(plan: LabPlan) -> None:
    """Make the lab and start its daemons; what was made goes again when that fails.

    Raises UsageError where there is one in the folder, VolumeError, OSError.
    """
    if why := why_not(plan.backend, plan.layout):
        raise UsageError(f"a lab cannot be made here: {why}")
    try:
        plan.folder.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise UsageError(f"{plan.folder} exists: end the lab in it with `blfs-mr lab down`") from error
    # First of all, so that there is nothing of a lab that cannot be taken away.
    unfinished = plan.state.with_suffix(".new")
    unfinished.write_text(pack_state(plan))
    unfinished.replace(plan.state)
    try:
        _make_disks(plan)
        start_master(plan)
        for node in plan.nodes:
            start_worker(plan, node)
        wait_for_workers(plan, len(plan.nodes))
    except BaseException:
        down(plan)
        raise


def down(plan: LabPlan) -> None:
    """Remove everything of the lab, half made or not. Raises VolumeError with what is left, and how it is."""
    # First, for daemons and unmounts hang on a disk that does not answer.
    end_dead_sessions(plan)
    ended = stop(plan.mark, Kind.DAEMON, FORCE_DEADLINE)
    failures = take_away(plan)
    # A task that hung on a dead device ends when the device does.
    if not ended and not wait_until(lambda: not any(marked(plan.mark, Kind.DAEMON)), FORCE_DEADLINE):
        failures.append("daemons or tasks that hang in the kernel are left")
    if failures:
        raise VolumeError(f"{plan.folder} could not be removed:\n" + "\n".join(failures))
    shutil.rmtree(plan.folder)


# ---------------------------------------------------------------- daemons


def start_master(plan: LabPlan) -> None:
    """Start the master, and wait until it answers. Raises VolumeError with what it said where it does not."""
    _start_daemon(plan, MASTER, "daemons.master", "--config", str(plan.config))
    if not wait_until(lambda: workers_of(plan) is not None, DAEMON_DEADLINE):
        raise VolumeError(f"the master does not answer; it said:\n{_end_of(plan.master_log)}")


def start_worker(plan: LabPlan, node: WorkerName) -> None:
    """Start the worker of ``node``; it registers when it is ready."""
    _start_daemon(plan, node, "daemons.worker", "--config", str(plan.node_config(node)), "--name", node)


def kill_worker(plan: LabPlan, node: WorkerName) -> None:
    """``kill -9`` of the worker of ``node`` and all its tasks. Raises VolumeError where one outlives it."""
    signal_marked(signal.SIGKILL, plan.mark, Kind.DAEMON, node)
    if not wait_until(lambda: not any(marked(plan.mark, Kind.DAEMON, node)), FORCE_DEADLINE):
        raise VolumeError(f"the worker of {node} hangs in the kernel")


def wait_for_workers(plan: LabPlan, count: int) -> None:
    """Until exactly so many are registered. Raises VolumeError with what they said where they do not come."""
    if not wait_until(lambda: workers_of(plan) == count, DAEMON_DEADLINE):
        said = "\n".join(f"{node}: {_end_of(plan.node_log(node))}" for node in plan.nodes)
        raise VolumeError(f"not {count} workers are registered with the master; they said:\n{said}")


def workers_of(plan: LabPlan) -> int | None:
    """How many workers the master knows; None while it does not answer."""
    try:
        client = Client(ADDRESS, plan.master_port, CLUSTER, read_secret(plan.folder / "secret"))
    except BlfsMrError:
        return None
    try:
        return len(client.describe().workers)
    except BlfsMrError:
        return None
    finally:
        client.close()


def _start_daemon(plan: LabPlan, node: WorkerName, module: str, *options: str) -> None:
    log = plan.master_log if node == MASTER else plan.node_log(node)
    env = environment(plan.mark, Kind.DAEMON, node)
    start([sys.executable, "-m", module, *options], log, env=env, cwd=plan.folder)


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else ""


# ---------------------------------------------------------------- disks


def _make_disks(plan: LabPlan) -> None:
    plan.config.write_text(master_configuration(plan))
    for node in plan.nodes:
        plan.node_folder(node).mkdir()
        plan.node_config(node).write_text(worker_configuration(plan, node))
        with plan.image(node).open("xb") as image:
            image.truncate(plan.image_size())
        if plan.backend is Backend.ISCSI:
            start_target(plan, node)
    make_interfaces(plan)
    for attachment in plan.attachments():
        connect(plan, attachment)
        if attachment.role is AttachRole.OWNER:
            _format(plan, attachment)
        attach_volume(plan, attachment)
    if plan.backend is Backend.ISCSI and not plan.in_kernel:
        env = environment(plan.mark, Kind.KEEPER, MASTER)
        command = [sys.executable, "-m", "blfs_mr.lab.sessions", str(plan.folder)]
        start(command, plan.folder / "sessions.log", env=env, cwd=plan.folder)


def attach_volume(plan: LabPlan, attachment: Attachment) -> None:
    """Attach the volume on a device that is there, as the contract says."""
    mount = str(attachment.mount) if plan.layout is VolumeLayout.FILE else ""
    attach(str(attachment.device), mount, attachment.role)


def _format(plan: LabPlan, attachment: Attachment) -> None:
    files = uniform_files(plan.shared_files, plan.shared_file_size)
    format_volume(FormatPlan(str(attachment.device), plan.layout, attachment.owner, files))


def _why_no_process_can_log_in() -> str:
    # It cannot list its drivers. Where there is one it fails as well, since nobody listens there.
    disk = "driver=iscsi,node-name=lun,transport=tcp,portal=127.0.0.1:1,target=iqn.2022-05.none:none,lun=1"
    try:
        run(["qemu-storage-daemon", "--daemonize", "--blockdev", disk])
    except VolumeError as error:
        if "Unknown driver" in str(error):
            return "qemu-storage-daemon has no iSCSI (package qemu-block-extra)"
    return ""


def _free_ports(count: int) -> list[int]:
    """So many ports of loopback that nobody listens on now."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_PORTS, len(_PORTS)):
            if len(ports) == count:
                return ports
            try:
                held.enter_context(socket.create_server((ADDRESS, port)))
            except OSError:
                continue
            ports.append(port)
    raise UsageError(f"no {count} ports of {ADDRESS} from {_PORTS.start} to {_PORTS.stop - 1} are free")
