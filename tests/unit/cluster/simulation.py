"""A cluster of simulated hosts: what their shells would answer to the cluster's commands."""

from __future__ import annotations

import asyncio
import json
import platform
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from click.testing import CliRunner, Result

from blfs_mr.cli.cluster import cluster_family
from blfs_mr.cluster.host.phases import Phase, steps_of
from blfs_mr.cluster.plan import HostPlan
from blfs_mr.cluster.ssh import Completed
from blfs_mr.errors import BlfsMrError
from blfs_mr.volume.doctor.messages import OwnerDeeds, PeerDeeds, SideReport, Timing
from tests.unit.cluster.ssh_hosts import SimulatedHost, made_key, simulated, written_key


def lsblk(**differing: object) -> str:
    """What lsblk says of a good empty disk, but for what is ``differing``."""
    disk = {
        "name": "vdb",
        "type": "disk",
        "size": 8 << 30,
        "ro": False,
        "log-sec": 512,
        "mountpoints": [None],
    }
    return json.dumps({"blockdevices": [disk | differing]})


@dataclass
class Shell:
    """The state of one host. Fields are what a test makes different from a good bare Debian."""

    name: str
    clock: float = 0.0
    python: str = "3.11"
    user: int = 0
    free: int = 8 << 30
    modules: str = "target_core_mod target_core_iblock iscsi_target_mod iscsi_tcp"
    tools: str = "apt-get systemctl blkid"
    initiator: str = ""
    blkid: str = ""
    lsblk: str = field(default_factory=lsblk)
    gid_name: str = ""
    machine: str = ""
    program: str = ""
    refuse_step: str = ""
    die_at_step: str = ""
    started_with: str = ""
    secrets: list[str] = field(default_factory=list)
    can_write: bool = False
    restarts: list[str] = field(default_factory=list)
    running: dict[str, bool] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    plan: HostPlan | None = None
    inputs: list[bytes] = field(default_factory=list)

    def answer(self, command: str, given: bytes) -> Completed:
        self.inputs.append(given)
        if command == "sh -s" and b"echo @system" in given:
            return Completed(0, self._facts(given.decode()), "")
        if command.startswith("python3 -c"):
            self.program = next(word for word in command.split() if len(word) == 16 and word.isalnum())
            return Completed(0, "", "")
        if command.startswith("sh -c") and ("apt-get install" in command or "dnf install" in command):
            self.initiator = self.initiator or f"iqn.1993-08.org.debian:01:{self.name}"
            self.tools += " targetcli iscsiadm mkfs.ext4 mkfs.xfs"
            return Completed(0, f"@initiator\nInitiatorName={self.initiator}\n", "")
        if "volume doctor" in command:
            return Completed(0, self._side(command), "")
        if "host apply" in command:
            return self._apply(Phase(command.split()[-1]), given)
        if command.startswith("systemctl is-active"):
            return self._control(command)
        if "ExecMainStartTimestamp" in command:
            unit = command.split()[3]
            outdated = self.running.get(unit) and self.started_with != self.program
            self.restarts += [unit] if outdated else []
            return Completed(0, "restarted\n" if outdated else "", "")
        if command.startswith("systemctl show"):
            return Completed(0, self._status(), "")
        if command.startswith("test -"):
            return Completed(0 if self.program else 1, "", "")
        if command.startswith("rm -rf /opt/blfs-mr"):
            self.program = ""
            return Completed(0, "", "")
        return Completed(127, "", f"{command}: not found")

    def _facts(self, script: str) -> str:
        devices = [
            line.split()[2].rstrip(";") for line in script.splitlines() if line.startswith("echo @holds")
        ]
        rows = "\n".join(f"/dev/vda 9 0 {self.free // 1024} 1% {folder}" for folder in ("/var", "/opt"))
        parts = {
            "system": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"',
            "machine": self.machine or platform.machine(),
            "python": self.python,
            "user": str(self.user),
            "clock": str(time.time() + self.clock),
            "free": f"Filesystem 1024-blocks Used Available Capacity Mounted on\n{rows}",
            "modules": self.modules.replace(" ", "\n"),
            "tools": self.tools.replace(" ", "\n"),
            "initiator": f"InitiatorName={self.initiator}" if self.initiator else "",
            "group-of-gid": self.gid_name,
            "bundle": self.program,
            "machine-id": f"id-of-{self.name}",
        }
        for device in devices:
            parts[f"device {device}"] = self.lsblk
            parts[f"holds {device}"] = self.blkid
        return "".join(f"@{name}\n{text}\n" for name, text in parts.items())

    def _apply(self, phase: Phase, given: bytes) -> Completed:
        plan = HostPlan.model_validate_json(given)
        told = []
        for step in steps_of(plan, phase):
            if step.name == self.die_at_step:
                self.die_at_step = ""
                return Completed(137, "".join(told), "Killed")
            if step.name == self.refuse_step:
                told.append(_line(step.name, "failed", "it is refused"))
                return Completed(1, "".join(told), "")
            # A step is done again where what it is to make so has changed.
            mark = f"{step.name} {step.commands} {plan.peers} {plan.export}"
            told.append(_line(step.name, "unchanged" if mark in self.done else "changed"))
            self.done.add(mark)
        self.plan = plan
        self.secrets += [file.text for file in plan.files if file.path.endswith("/secret")]
        if phase is Phase.REMOVE:
            self.done.clear()
        return Completed(0, "".join(told), "")

    def _side(self, command: str) -> str:
        timing = Timing(median=0.001, slowest_percent=0.002)
        if "--role owner" in command:
            deeds: OwnerDeeds | PeerDeeds = OwnerDeeds(publishing=timing, flushes=100)
        else:
            deeds = PeerDeeds(
                rounds=100,
                wrong={},
                latency=timing,
                bandwidth=1e8,
                writing="written" if self.can_write else "refused",
                writing_told="it was tried",
            )
        return SideReport(path=None, breaches=(), deeds=deeds).model_dump_json() + "\n"

    def _control(self, command: str) -> Completed:
        unit, verb = command.split()[2].rstrip(";"), command.split()[4]
        before = "active" if self.running.get(unit) else "inactive"
        self.running[unit] = verb != "stop"
        self.started_with = self.program
        return Completed(0, f"{before}\n", "")

    def _status(self) -> str:
        units = dict(self.running)
        if any(units.values()):
            # Nothing but a boot starts the target.
            units |= {"blfs-mr.target": False, "blfs-mr-volumes.service": True}
        blocks = [
            f"Id={unit}\nLoadState=loaded\nActiveState={'active' if up else 'inactive'}\nSubState=running\n"
            for unit, up in units.items()
        ]
        return "\n".join(blocks) + f"@program\n{self.program}\n"


def _line(step: str, outcome: str, reason: str = "") -> str:
    return json.dumps({"step": step, "outcome": outcome, "reason": reason}) + "\n"


@dataclass
class SimulatedCluster:
    """Hosts that listen, and the configuration that describes them."""

    config: Path
    shells: dict[str, Shell]
    hosts: dict[str, SimulatedHost]

    async def command(self, *arguments: str, given: str = "") -> Result:
        """Run ``blfs-mr cluster`` with ``arguments``, beside the loop that serves the hosts."""
        whole = ["--config", str(self.config), *arguments]
        return await asyncio.to_thread(CliRunner().invoke, cluster_family, whole, input=given)

    async def done(self, *arguments: str) -> str:
        """As :meth:`command`, which must succeed; its output."""
        result = await self.command(*arguments)
        assert result.exception is None, (result.exception, result.output)
        return result.output

    async def refused(self, *arguments: str) -> str:
        """As :meth:`command`, which must fail with an error of ours; what it says."""
        result = await self.command(*arguments)
        assert isinstance(result.exception, BlfsMrError), (result.exception, result.output)
        return str(result.exception)


@asynccontextmanager
async def simulated_cluster(
    folder: Path, count: int, *, latency: float = 0.0, real_wheels: bool = False
) -> AsyncIterator[SimulatedCluster]:
    """``count`` hosts node-1 … on loopback, of which each answers after ``latency`` seconds."""
    key: asyncssh.SSHKey = made_key()
    path = written_key(key, folder)
    shells = {f"node-{number}": Shell(f"node-{number}") for number in range(1, count + 1)}
    async with AsyncExitStack() as stack:
        hosts = {
            name: await stack.enter_async_context(
                simulated(SimulatedHost(name, shell.answer, made_key(), latency), key)
            )
            for name, shell in shells.items()
        }
        lines = [f'home = "{folder}/home"', "[cluster]", 'id = "lab"']
        if not real_wheels:
            # What real wheels are like is another test's concern; these are quick to send.
            (folder / "wheels").mkdir()
            (folder / "wheels" / "blfs_mr-0-py3-none-any.whl").write_bytes(b"a wheel")
            lines.append(f'wheels = "{folder}/wheels"')
        lines += ["[cluster.ssh]", f'key = "{path}"', f'known_hosts = "{folder}/known_hosts"']
        for number, (name, host) in enumerate(hosts.items(), start=1):
            lines += ["[[cluster.workers]]", f'name = "{name}"', 'address = "127.0.0.1"']
            lines += [f'data_address = "10.0.0.{number}"', f"ssh_port = {host.port}", 'device = "/dev/vdb"']
            lines.append(f'host_key = "{host.fingerprint}"')
        config = folder / "config.toml"
        config.write_text("\n".join(lines) + "\n")
        yield SimulatedCluster(config, shells, hosts)
