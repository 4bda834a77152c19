"""``cluster init``: from bare hosts to a cluster that can be started, on all hosts in parallel.

Nothing is changed before all hosts were asked and all of them are fit. Then each host gets its packages, the
program, and its plan in two phases; between the phases all hosts wait for one another. A host costs one
connection and about seven round trips.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from blfs_mr.cluster.certificates import file_texts, operator_certificates, write_folder
from blfs_mr.cluster.checks import LIO_MODULES, Needs, host_problems, problems_between
from blfs_mr.cluster.credentials import Chap, load_or_create_chap
from blfs_mr.cluster.facts import HostFacts, facts_script, parse_facts, parse_initiator
from blfs_mr.cluster.fleet import Fleet
from blfs_mr.cluster.host.phases import Phase
from blfs_mr.cluster.packages import initiator_lines, install_script, needed_tools
from blfs_mr.cluster.places import COMMAND
from blfs_mr.cluster.plan import HostPlan
from blfs_mr.cluster.planning import host_plans, shared_files
from blfs_mr.cluster.reporting import Report
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.cluster.wheels import Bundle, folder_bundle, installed_bundle, unit_files
from blfs_mr.config import Config
from blfs_mr.errors import ClusterError, ConfigError
from blfs_mr.inventory import HostSection, WorkerHostSection
from blfs_mr.secret import load_or_create_secrets

OPERATOR = "the-operator"
"""Whose certificate the operator's own submissions show."""


@dataclass(slots=True)
class Setup:
    """One run over the hosts of ``config``; hosts in ``without`` are treated as not there."""

    config: Config
    fleet: Fleet
    report: Report
    without: Sequence[str] = ()
    bundle: Bundle = field(init=False)
    _archive: asyncio.Task[bytes] | None = None

    def __post_init__(self) -> None:
        wheels = self.config.cluster.wheels
        self.bundle = folder_bundle(wheels) if wheels is not None else installed_bundle()

    async def run(self) -> Mapping[str, HostPlan]:
        """Make all hosts what they should be; the plans that they have then. Raises ClusterError."""
        facts = await self.look()
        initiators = await self.install(facts)
        plans = self.plans(initiators)
        await self.apply(plans, Phase.PREPARE)
        await self.apply(plans, Phase.JOIN)
        return plans

    # ------------------------------------------------------------ looking

    async def look(self) -> Mapping[str, HostFacts]:
        """Ask all hosts about themselves. Raises ClusterError with everything that is wrong with any."""
        answers = (await self.fleet.each(self._ask)).check("looking at the hosts")
        problems = [f"{name}: {problem}" for name, (_, found) in answers.items() for problem in found]
        facts = {name: answer for name, (answer, _) in answers.items()}
        problems += problems_between(facts)
        if problems:
            told = "\n".join(f"  {problem}" for problem in problems)
            raise ClusterError(f"nothing was changed, because not all hosts are fit:\n{told}")
        return facts

    async def _ask(self, host: SshHost) -> tuple[HostFacts, list[str]]:
        needs = self._needs(self._section(host.address.name))
        devices = [needs.device, *needs.peer_devices] if needs.device else []
        script = facts_script(devices, needs.modules, needs.gid)
        before = time.time()
        facts = parse_facts(await host.check("sh -s", input=script.encode()))
        return facts, host_problems(facts, needs, (before, time.time()))

    def _needs(self, section: HostSection) -> Needs:
        cluster, own = self.config.cluster, None
        if isinstance(section, WorkerHostSection):
            own = section
        given = own is not None and cluster.attach == "given"
        others = [worker for worker in cluster.workers if worker.name not in (section.name, *self.without)]
        return Needs(
            device=own.device if own is not None else "",
            volume_size=sum(file.size for file in shared_files(cluster)),
            peer_devices=tuple(cluster.peer_path(own, peer) for peer in others) if own and given else (),
            modules=LIO_MODULES if own is not None and cluster.attach == "lio" else (),
            free_space=cluster.limits.free_space,
            clock_skew=cluster.limits.clock_skew,
            gid=cluster.volume_gid,
            python=self.bundle.python,
            machine=self.bundle.machine,
        )

    def _section(self, name: str) -> HostSection:
        return next(host for host in self.config.cluster.hosts if host.name == name)

    # ------------------------------------------------------------ packages and program

    async def install(self, facts: Mapping[str, HostFacts]) -> Mapping[str, str]:
        """Bring packages and program to hosts that lack them; all initiator names. Raises ClusterError."""
        return (await self.fleet.each(partial(self._install, facts=facts))).check("installing")

    async def _install(self, host: SshHost, facts: Mapping[str, HostFacts]) -> str:
        name = host.address.name
        initiator = await self._install_packages(host, facts[name])
        if facts[name].bundle != self.bundle.digest:
            completed = await host.run(self.bundle.install_command(), input=await self._packed())
            if completed.exit_code != 0:
                raise ClusterError(f"{host.address}: the program was not installed: {completed.reason}")
            self.report.step(name, "program", "changed")
        else:
            self.report.step(name, "program", "unchanged")
        return initiator

    async def _install_packages(self, host: SshHost, facts: HostFacts) -> str:
        cluster, name = self.config.cluster, host.address.name
        if not isinstance(self._section(name), WorkerHostSection):
            return ""
        needed = needed_tools(cluster.attach, cluster.layout, cluster.file_system)
        missing = [tool for tool in needed if tool not in facts.tools]
        unnamed = cluster.attach == "lio" and not facts.initiator
        if not missing and not unnamed:
            self.report.step(name, "packages", "unchanged")
            return facts.initiator
        folder = cluster.packages
        script = "\n".join(initiator_lines())
        if missing:
            script = install_script(missing, apt="apt-get" in facts.tools, from_folder=folder is not None)
        archive = await asyncio.to_thread(_folder_archive, folder) if folder and missing else b""
        completed = await host.run(["sh", "-c", script], input=archive)
        if completed.exit_code != 0:
            hint = "" if folder else "; for hosts that reach no repository, name a folder (cluster.packages)"
            raise ClusterError(f"{host.address}: packages cannot be installed: {completed.reason}{hint}")
        self.report.step(name, "packages", "changed")
        return parse_initiator(completed.output) or facts.initiator

    async def _packed(self) -> bytes:
        # Made once, by the first host that needs it, and beside the event loop that serves the others.
        if self._archive is None:
            self._archive = asyncio.create_task(asyncio.to_thread(self.bundle.archive))
        return await asyncio.shield(self._archive)

    # ------------------------------------------------------------ plans

    def plans(self, initiators: Mapping[str, str]) -> Mapping[str, HostPlan]:
        """The plan of every host. Raises ClusterError where two hosts have one initiator name."""
        for name, initiator in initiators.items():
            twins = [other for other, same in initiators.items() if same == initiator and initiator]
            if len(twins) > 1 and twins[0] == name:
                raise ClusterError(f"{', '.join(twins)} have the same iSCSI initiator name, {initiator}")
        certificates = operator_certificates(operator_folder(self.config), self.config.cluster.id)
        # The operator submits jobs as well, with the very config.toml that describes the cluster.
        own = certificates.credential("client", OPERATOR, "")
        write_folder(operator_folder(self.config) / "submitter", file_texts(certificates, own))
        return host_plans(
            self.config,
            initiators=initiators,
            chap=operator_chap(self.config),
            secrets=[secret.hex() for secret in load_or_create_secrets(self.config.secret_path)],
            units=unit_files(),
            tls=lambda role, name, address: file_texts(
                certificates, certificates.credential(role, name, address)
            ),
            without=self.without,
        )

    async def apply(self, plans: Mapping[str, HostPlan], phase: Phase) -> None:
        """Have each host carry out one phase of its plan. Raises ClusterError with what failed on each."""
        action = partial(apply_phase, plans=plans, phase=phase, report=self.report)
        (await self.fleet.each(action, list(plans))).check(phase.value)


async def apply_phase(host: SshHost, *, plans: Mapping[str, HostPlan], phase: Phase, report: Report) -> None:
    """Have one host carry out one phase of its plan. Raises ClusterError with the step that failed."""
    name = host.address.name
    failures = []

    def hear(line: str) -> None:
        try:
            told = json.loads(line)
            step, outcome, reason = told["step"], told["outcome"], told["reason"]
        except (ValueError, KeyError, TypeError):
            return  # Something else that the host prints; what counts is the exit code.
        report.step(name, step, outcome, reason)
        if outcome == "failed":
            failures.append(f"{step}: {reason}")

    completed = await host.run(
        [COMMAND, "host", "apply", phase.value], input=plans[name].model_dump_json().encode(), tell=hear
    )
    if completed.exit_code != 0:
        raise ClusterError(failures[0] if failures else f"{host.address}: {completed.reason}")


def operator_chap(config: Config) -> dict[str, Chap]:
    """The CHAP credentials of the inventory's workers, made where they are missing; none without CHAP."""
    cluster = config.cluster
    if cluster.attach != "lio" or not cluster.iscsi.chap:
        return {}
    names = [worker.name for worker in cluster.workers]
    return load_or_create_chap(operator_folder(config) / "chap.json", cluster.id, names)


def operator_folder(config: Config) -> Path:
    """Where the operator's side keeps what belongs to this cluster."""
    return config.home / "cluster" / config.cluster.id


def _folder_archive(folder: Path) -> bytes:
    files = sorted([*folder.glob("*.deb"), *folder.glob("*.rpm")])
    if not files:
        raise ConfigError(f"cluster.packages: {folder} holds no package files (.deb, .rpm)")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in files:
            archive.add(path, path.name)
    return packed.getvalue()
