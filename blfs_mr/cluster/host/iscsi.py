"""The steps of a host's target and of its logins to the targets of the cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from blfs_mr.cluster import initiator, lio
from blfs_mr.cluster.host.steps import Step, command
from blfs_mr.cluster.host.system import System
from blfs_mr.cluster.plan import Export, Login
from blfs_mr.errors import ClusterError

SCRATCH = "/run/blfs-mr-targetcli"
"""A home for targetcli: it writes a history of its commands there, and passwords are among them."""

DEVICE_DEADLINE = 60.0
"""Seconds from a login to the device node; emulated hosts take ten."""

_TARGET_SERVICES = ("rtslib-fb-targetctl.service", "target.service")
"""What restores the targets at boot: the names of Debian and of Fedora."""

_LOGIN_SERVICES = ("open-iscsi.service", "iscsi.service")
"""What logs in at boot, and out at shutdown."""

_INITIATOR_SERVICES = ("iscsid.service", *_LOGIN_SERVICES)


def services_step() -> Step:
    """The distribution's own services bring targets and logins back at each boot."""

    services = (*_TARGET_SERVICES, *_INITIATOR_SERVICES)

    def apply(system: System) -> bool:
        states = {
            service: system.run(["systemctl", "is-enabled", service]).output.strip() for service in services
        }
        disabled = [service for service, state in states.items() if state == "disabled"]
        if disabled:
            # All in one: each call has the whole manager read its units anew.
            command(system, ["systemctl", "enable", *disabled])
        command(system, ["systemctl", "start", "iscsid.service"])
        return bool(disabled)

    return Step("iSCSI services", ["systemctl enable rtslib-fb-targetctl iscsid open-iscsi"], apply)


def export_step(export: Export) -> Step:
    """The target is as planned, refused where what is there is somebody else's."""

    def apply(system: System) -> bool:
        present = read_configuration(system)
        # One device has many paths, and another one's backstore may have been made with any of them.
        if in_the_way := lio.conflicts(export, present, os.path.realpath):
            raise ClusterError("; ".join(in_the_way))
        commands = lio.commands_for(export, present)
        if not commands:
            return False
        said = _targetcli(system, [*commands, "saveconfig"])
        if left := lio.commands_for(export, read_configuration(system)):
            raise ClusterError(f"targetcli did not do `{lio.shown(left[0])}`: {said[-500:]}")
        return True

    shown = [lio.SETTINGS, *map(lio.shown, lio.commands_for(export, lio.Configuration())), "saveconfig"]
    return Step("target", [f"targetcli: {line}" for line in shown], apply)


def unexport_step(export: Export) -> Step:
    """The target is gone, the device free."""

    def apply(system: System) -> bool:
        if system.run(["sh", "-c", "command -v targetcli"]).exit_code != 0:
            return False
        commands = lio.removal_commands(export, read_configuration(system))
        if not commands:
            return False
        said = _targetcli(system, [*commands, "saveconfig"])
        if left := lio.removal_commands(export, read_configuration(system)):
            raise ClusterError(f"targetcli did not do `{left[0]}`: {said[-500:]}")
        return True

    bare = [f"/iscsi delete {export.target}", f"/backstores/block delete {export.backstore}", "saveconfig"]
    return Step("target", [f"targetcli: {line}" for line in bare], apply)


def login_step(name: str, logins: Sequence[Login], replacement_timeout: float) -> Step:
    """This host is logged in to the targets of ``logins``, now and after each boot."""

    def apply(system: System) -> bool:
        sessions, records = _present(system)
        changed = False
        for login in logins:
            changed |= _record(system, login, replacement_timeout, records)
            if _key(login) not in sessions:
                command(system, initiator.login_command(login))
                changed = True
        for login in logins:
            _wait_for_device(system, login)
        return changed

    shown = []
    for login in logins:
        shown += [
            " ".join(initiator.new_record_command(login)),
            f"# in its record: node.startup = automatic, replacement_timeout = {replacement_timeout:g}, "
            f"CHAP {'as ' + login.user if login.user else 'off'}",
            " ".join(initiator.login_command(login)),
        ]
    return Step(name, shown, apply)


def shutdown_step() -> Step:
    """The service that logs out at shutdown is active, without which it does nothing there.

    It starts on no host that has no record of a target, which this one may have been when it booted. Sessions
    that nobody ends hold up a shutdown, once the own target is gone, for as long as the replacement timeout.
    """

    def apply(system: System) -> bool:
        idle = [
            service
            for service in _LOGIN_SERVICES
            if system.run(["systemctl", "is-enabled", service]).output.strip() == "enabled"
            and system.run(["systemctl", "is-active", service]).exit_code != 0
        ]
        if idle:
            # Sessions that are there already are no failure of it.
            command(system, ["systemctl", "start", *idle])
        return bool(idle)

    return Step("logouts at shutdown", [f"systemctl start {_LOGIN_SERVICES[0]}"], apply)


def logout_step(name: str, logins: Sequence[Login]) -> Step:
    """Neither sessions nor records of ``logins`` are left."""

    def apply(system: System) -> bool:
        if not logins or system.run(["sh", "-c", "command -v iscsiadm"]).exit_code != 0:
            return False
        sessions, records = _present(system)
        for login in logins:
            if _key(login) in sessions:
                command(system, initiator.logout_command(login))
            if _key(login) in records:
                command(system, initiator.delete_record_command(login))
        return any(_key(login) in sessions | records for login in logins)

    shown = [
        " ".join(made)
        for login in logins
        for made in (initiator.logout_command(login), initiator.delete_record_command(login))
    ]
    return Step(name, shown, apply)


def read_configuration(system: System) -> lio.Configuration:
    """What the kernel's target has now."""
    saved = f"{SCRATCH}/saveconfig.json"
    said = _targetcli(system, [f"saveconfig {saved}"], keep=True)
    try:
        text = system.read(saved)
    finally:
        system.remove(SCRATCH)
    if text is None:
        raise ClusterError(f"targetcli did not save its configuration: {said[-500:]}")
    return lio.parse_configuration(text)


def _targetcli(system: System, commands: Sequence[str], *, keep: bool = False) -> str:
    system.make_folder(SCRATCH, mode=0o700, user="root", group="root")
    try:
        lines = "".join(f"{line}\n" for line in (lio.SETTINGS, *commands, "exit"))
        ran = system.run(["targetcli"], lines, home=SCRATCH)
    finally:
        if not keep:
            system.remove(SCRATCH)
    if ran.exit_code != 0:
        raise ClusterError(f"targetcli failed: {(ran.error or ran.output)[-500:]}")
    return " ".join((ran.output + ran.error).split())


def _present(system: System) -> tuple[set[tuple[str, str, int]], set[tuple[str, str, int]]]:
    nothing = (0, initiator.NOTHING_FOUND)
    sessions = command(system, initiator.SESSIONS_COMMAND, allowed=nothing).output
    records = command(system, initiator.RECORDS_COMMAND, allowed=nothing).output
    return initiator.parse_sessions(sessions), initiator.parse_records(records)


def _record(
    system: System, login: Login, replacement_timeout: float, records: set[tuple[str, str, int]]
) -> bool:
    made = _key(login) not in records
    if made:
        command(system, initiator.new_record_command(login))
    paths = [path for pattern in initiator.record_files(login) for path in system.matches(pattern)]
    if not paths:
        raise ClusterError(
            f"there is no record of {login.target} in /etc/iscsi/nodes or /var/lib/iscsi/nodes"
        )
    settings = initiator.record_settings(login, replacement_timeout)
    written = []
    for path in paths:
        text = system.read(path) or ""
        changed = initiator.changed_record(text, settings)
        written.append(system.write(path, changed, mode=0o600, user="root", group="root"))
    return made or any(written)


def _wait_for_device(system: System, login: Login) -> None:
    system.run(["udevadm", "settle", "--timeout=30"])
    deadline = time.monotonic() + DEVICE_DEADLINE
    while not system.matches(login.device):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"logged in to {login.target}, but {login.device} does not appear: does the target of "
                f"{login.worker} map a LUN to this host (`targetcli ls` there)?"
            )
        time.sleep(0.2)


def _key(login: Login) -> tuple[str, str, int]:
    return login.target, login.address, login.port
