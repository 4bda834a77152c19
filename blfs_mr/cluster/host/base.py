"""The steps that make a host ready for anything: group and users, folders, files, units, kernel modules."""

from __future__ import annotations

from collections.abc import Sequence

from blfs_mr.cluster.host.steps import Step, command
from blfs_mr.cluster.host.system import System
from blfs_mr.cluster.places import (
    CONFIG_FOLDER,
    DAEMON_USER,
    HOME,
    MASTER_UNIT,
    OUTPUT,
    SCRATCH,
    TARGET_UNIT,
    TASK_USER,
    TLS_FOLDERS,
    VOLUME_GROUP,
    VOLUMES,
    VOLUMES_UNIT,
    WORKER_UNIT,
)
from blfs_mr.cluster.plan import HostFile, HostPlan, Roles

MODULES_FILE = "/etc/modules-load.d/blfs-mr.conf"


def base_steps(plan: HostPlan) -> list[Step]:
    """What comes before anything that concerns volumes."""
    steps = [accounts_step(plan), folders_step(), files_step("the configuration", plan.files)]
    if plan.modules:
        steps.append(modules_step(plan.modules))
    return steps


def accounts_step(plan: HostPlan) -> Step:
    """The group of the volumes, the same number on all hosts; and what the units bring, users among it."""
    group = ["groupadd", "--system", "--gid", str(plan.volume_gid), VOLUME_GROUP]
    reload, users = ["systemctl", "daemon-reload"], ["systemd-sysusers"]
    folders = ["systemd-tmpfiles", "--create"]
    confs = [unit.path for unit in plan.units if unit.path.endswith(".conf")]
    users += [path for path in confs if "/sysusers.d/" in path]
    folders += [path for path in confs if "/tmpfiles.d/" in path]

    def apply(system: System) -> bool:
        changed = False
        if system.run(["getent", "group", VOLUME_GROUP]).exit_code != 0:
            command(system, group)
            changed = True
        written = [_write(system, unit) for unit in plan.units]
        missing = [user for user in (DAEMON_USER, TASK_USER) if system.run(["id", user]).exit_code != 0]
        # Done each time, since an earlier run may have been cut short between a file and what it asks for.
        for act in (users, folders, reload):
            command(system, act)
        return changed or any(written) or bool(missing)

    shown = [" ".join(group), *map(_shown, plan.units), *(" ".join(one) for one in (users, folders, reload))]
    return Step("users, group and units", shown, apply)


def folders_step() -> Step:
    """Our folders. That of the configuration is closed: secrets are in it."""
    folders = (
        (CONFIG_FOLDER, 0o750, "root", DAEMON_USER),
        *((folder, 0o700, DAEMON_USER, DAEMON_USER) for folder in TLS_FOLDERS.values()),
        (HOME, 0o755, DAEMON_USER, DAEMON_USER),
        (SCRATCH, 0o711, DAEMON_USER, DAEMON_USER),
        (OUTPUT, 0o711, DAEMON_USER, DAEMON_USER),
        (VOLUMES, 0o755, "root", "root"),
    )

    def apply(system: System) -> bool:
        made = [
            system.make_folder(path, mode=mode, user=user, group=group) for path, mode, user, group in folders
        ]
        return any(made)

    shown = [f"install -d -m {mode:04o} -o {user} -g {group} {path}" for path, mode, user, group in folders]
    return Step("folders", shown, apply)


def files_step(name: str, files: Sequence[HostFile]) -> Step:
    """Files that have the contents of the plan."""

    def apply(system: System) -> bool:
        written = [_write(system, file) for file in files]
        return any(written)

    return Step(name, [_shown(file) for file in files], apply)


def modules_step(modules: Sequence[str]) -> Step:
    """Kernel modules, loaded now and at each boot."""
    text = "".join(f"{module}\n" for module in modules)
    load = ["modprobe", "--all", *modules]

    def apply(system: System) -> bool:
        changed = system.write(MODULES_FILE, text, mode=0o644, user="root", group="root")
        command(system, load)
        return changed

    return Step("kernel modules", [f"install -m 0644 /dev/stdin {MODULES_FILE}", " ".join(load)], apply)


def units_of(roles: Roles) -> list[str]:
    """The units that a host runs, in the order in which they are started."""
    units = [TARGET_UNIT]
    if roles.runs_master:
        units.append(MASTER_UNIT)
    if roles.runs_worker:
        units += [VOLUMES_UNIT, WORKER_UNIT]
    return units


def enable_step(plan: HostPlan) -> Step:
    """The units start at each boot."""
    units = units_of(plan)

    def apply(system: System) -> bool:
        # It prints one line for each unit and fails where one of them is not enabled.
        states = system.run(["systemctl", "is-enabled", *units]).output.split()
        if states == ["enabled"] * len(units):
            return False
        command(system, ["systemctl", "enable", *units])
        return True

    return Step("units start at boot", [f"systemctl enable {' '.join(units)}"], apply)


def _write(system: System, file: HostFile) -> bool:
    return system.write(file.path, file.text, mode=int(file.mode, 8), user=file.user, group=file.group)


def _shown(file: HostFile) -> str:
    return f"install -m {file.mode} -o {file.user} -g {file.group} /dev/stdin {file.path}"
