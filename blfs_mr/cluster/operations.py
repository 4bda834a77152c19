"""What is done to a cluster that was set up. Each operation can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from blfs_mr.cluster.fleet import Fleet, Outcome
from blfs_mr.cluster.host.base import units_of
from blfs_mr.cluster.host.phases import Phase
from blfs_mr.cluster.places import (
    BUNDLE_FILE,
    COMMAND,
    CONFIG_FILE,
    MASTER_UNIT,
    PROGRAM,
    PROGRAMS,
    TARGET_UNIT,
    WORKER_UNIT,
)
from blfs_mr.cluster.plan import HostPlan, Roles
from blfs_mr.cluster.reporting import Report
from blfs_mr.cluster.setup import apply_phase
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.errors import ClusterError

_STATUS = (
    "systemctl show --property=Id,LoadState,ActiveState,SubState,NRestarts 'blfs-mr*' ; "
    f"echo @program; cat {BUNDLE_FILE} 2>/dev/null; true"
)

# Of a daemon that was started in the second of a change, nobody knows which one it read: it is restarted.
_RESTART_OUTDATED = f"""
systemctl is-active --quiet UNIT || exit 0
started=$(systemctl show --timestamp=unix --property=ExecMainStartTimestamp --value UNIT)
for path in {PROGRAM} {CONFIG_FILE}; do
    if [ "$(stat -c %Y $path)" -ge "${{started#@}}" ]; then
        systemctl restart UNIT && echo restarted
        exit
    fi
done
"""


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """A unit of a host, in systemd's words."""

    name: str
    active: str
    detail: str
    restarts: int


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What runs on a host; ``program`` is the digest of the installed bundle, empty for none."""

    units: tuple[UnitStatus, ...]
    program: str

    def units_of(self, roles: Roles) -> list[UnitStatus]:
        """Those of the host's roles, as far as they are there."""
        expected = _expected(roles)
        return [unit for unit in self.units if unit.name in expected]

    def is_running(self, roles: Roles) -> bool:
        """Whether all that should run does."""
        return _expected(roles) <= {unit.name for unit in self.units if unit.active == "active"}


def _expected(roles: Roles) -> set[str]:
    """What runs where a host has ``roles``: not the target that groups it, which a boot alone starts."""
    return set(units_of(roles)) - {TARGET_UNIT}


async def start(fleet: Fleet, roles: Mapping[str, Roles], report: Report) -> None:
    """Start all daemons: the masters first, so that no worker waits for it. Raises ClusterError."""
    await _control(fleet, roles, report, "start")


async def stop(fleet: Fleet, roles: Mapping[str, Roles], report: Report) -> None:
    """Stop all daemons, the master first: jobs have its grace to end in. Volumes stay attached.

    Raises ClusterError.
    """
    await _control(fleet, roles, report, "stop")


async def restart(fleet: Fleet, roles: Mapping[str, Roles], report: Report) -> None:
    """Restart all daemons, the master first: workers reconnect to it anyway. Raises ClusterError."""
    await _control(fleet, roles, report, "restart")


async def status(fleet: Fleet) -> Outcome[HostStatus]:
    """What runs where, in one round trip a host."""

    async def ask(host: SshHost) -> HostStatus:
        completed = await host.run(_STATUS)
        return parse_status(completed.output)

    return await fleet.each(ask)


def parse_status(text: str) -> HostStatus:
    """The answer of a host to the question for its status."""
    shown, _, program = text.partition("@program\n")
    units = []
    for block in shown.split("\n\n"):
        found = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if found.get("LoadState") == "loaded":
            restarts = found.get("NRestarts", "0")
            units.append(
                UnitStatus(
                    found.get("Id", ""),
                    found.get("ActiveState", ""),
                    found.get("SubState", ""),
                    int(restarts) if restarts.isdigit() else 0,
                )
            )
    return HostStatus(tuple(sorted(units, key=lambda unit: unit.name)), program.strip())


async def restart_outdated(fleet: Fleet, roles: Mapping[str, Roles], report: Report) -> None:
    """Restart the daemons that were started before their program or configuration was put there.

    The master comes first: workers reconnect to it anyway. Raises ClusterError.
    """
    for names, unit in _order(roles):

        async def act(host: SshHost, unit: str = unit) -> None:
            completed = await host.run(_RESTART_OUTDATED.replace("UNIT", unit))
            if completed.exit_code != 0:
                raise ClusterError(f"{unit} does not restart: {completed.reason}; `journalctl -u {unit}`")
            outcome = "changed" if completed.output.strip() else "unchanged"
            report.step(host.address.name, f"restart {unit}", outcome)

        (await fleet.each(act, names)).check("restart")


async def tear_down(fleet: Fleet, plans: Mapping[str, HostPlan], report: Report) -> None:
    """Leave hosts as they were before, but for packages. Raises ClusterError with what is left."""
    await leave(fleet, plans, report)
    await remove(fleet, plans, report)


async def leave(fleet: Fleet, plans: Mapping[str, HostPlan], report: Report) -> None:
    """Stop daemons and let go of the peers' volumes. Raises ClusterError."""
    await _apply_where_installed(fleet, plans, report, Phase.LEAVE)


async def remove(fleet: Fleet, plans: Mapping[str, HostPlan], report: Report) -> None:
    """Take away all that the set-up brought, when no peer uses it any more. Raises ClusterError."""
    await _apply_where_installed(fleet, plans, report, Phase.REMOVE)

    async def forget(host: SshHost) -> None:
        present = (await host.run(["test", "-e", PROGRAMS])).exit_code == 0
        await host.check(["rm", "-rf", PROGRAM, PROGRAMS])
        report.step(host.address.name, "program", "changed" if present else "unchanged")

    (await fleet.each(forget, list(plans))).check("removing the program")


async def _apply_where_installed(
    fleet: Fleet, plans: Mapping[str, HostPlan], report: Report, phase: Phase
) -> None:
    async def act(host: SshHost) -> None:
        # A host whose set-up never came to the program has nothing that only the program can undo.
        if (await host.run(["test", "-x", COMMAND])).exit_code == 0:
            await apply_phase(host, plans=plans, phase=phase, report=report)

    (await fleet.each(act, list(plans))).check(phase.value)


def _order(roles: Mapping[str, Roles]) -> list[tuple[list[str], str]]:
    """The daemons in the order in which they are started and stopped: hosts and unit."""
    masters = [name for name, role in roles.items() if role.runs_master]
    workers = [name for name, role in roles.items() if role.runs_worker]
    return [(masters, MASTER_UNIT), (workers, WORKER_UNIT)]


async def _control(fleet: Fleet, roles: Mapping[str, Roles], report: Report, verb: str) -> None:
    for names, unit in _order(roles):

        async def act(host: SshHost, unit: str = unit) -> None:
            # One line: what was before, then the deed. It waits until the daemon says that it is ready.
            text = f"systemctl is-active {unit}; systemctl {verb} {unit}"
            completed = await host.run(text)
            before = completed.output.partition("\n")[0].strip()
            if completed.exit_code != 0:
                raise ClusterError(
                    f"{unit} does not {verb}: {completed.reason}; see `journalctl -u {unit}` there"
                )
            same = (verb == "start" and before == "active") or (verb == "stop" and before != "active")
            report.step(host.address.name, f"{verb} {unit}", "unchanged" if same else "changed")

        (await fleet.each(act, names)).check(verb)
