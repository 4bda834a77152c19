"""``blfs-mr cluster``: from an inventory in config.toml to a running cluster, over SSH."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import click

from blfs_mr.cluster import operations
from blfs_mr.cluster.fleet import Fleet, connected_fleet
from blfs_mr.cluster.host.phases import Phase, steps_of
from blfs_mr.cluster.places import BUNDLE_FILE
from blfs_mr.cluster.plan import HostPlan
from blfs_mr.cluster.planning import host_plans
from blfs_mr.cluster.reporting import Report
from blfs_mr.cluster.setup import Setup, operator_chap
from blfs_mr.cluster.ssh import SshAddress, SshPolicy
from blfs_mr.cluster.wheels import unit_files
from blfs_mr.config import Config, load_config
from blfs_mr.errors import BlfsMrError, ClusterError, UsageError
from blfs_mr.inventory import HostSection


@click.group("cluster", no_args_is_help=False)
@click.option("--config", "path", type=click.Path(path_type=Path), help="The configuration file.")
@click.option(
    "--accept-new-host-keys", "accept_new", is_flag=True, help="Trust hosts that are met for the first time."
)
@click.option("-v", "--verbose", is_flag=True, help="Tell also of steps that had nothing to change.")
@click.pass_context
def cluster_family(context: click.Context, path: Path | None, accept_new: bool, verbose: bool) -> None:
    """Set up, run and take down the cluster that config.toml describes."""
    context.obj = _Session(path, accept_new, Report(click.echo, verbose))


class _Session:
    """What the commands of one call share."""

    def __init__(self, path: Path | None, accept_new: bool, report: Report) -> None:
        self._path, self._accept_new, self.report = path, accept_new, report

    def config(self) -> Config:
        config = load_config(self._path, os.environ)
        if not config.cluster.workers:
            raise UsageError(
                "the configuration describes no hosts: write them as [[cluster.workers]] (docs/cluster.md), "
                "and name the file with --config"
            )
        return config

    def on_hosts(
        self,
        config: Config,
        action: Callable[[Fleet], Awaitable[None]],
        *,
        names: Sequence[str] = (),
        tolerate: bool = False,
    ) -> None:
        """Run ``action`` with connections to all hosts, or those of ``names``.

        A host that cannot be reached ends it before it begins, unless the command is to ``tolerate`` that.
        """
        cluster = config.cluster
        hosts = [host for host in cluster.hosts if not names or host.name in names]
        own = cluster.ssh.known_hosts or Path("~/.ssh/known_hosts").expanduser()
        policy = SshPolicy(
            (config.home / "cluster" / cluster.id / "known_hosts", own),
            self._accept_new,
            cluster.limits.connect_deadline,
            cluster.limits.command_deadline,
        )

        async def connected() -> None:
            addresses = [_address(config, host) for host in hosts]
            async with connected_fleet(addresses, policy, cluster.limits.hosts_at_once) as (fleet, errors):
                if errors and not tolerate:
                    raise ClusterError(
                        _told("nothing was done, because not all hosts can be reached", errors)
                    )
                await action(fleet)
                if errors:
                    raise ClusterError(_told("not all hosts can be reached", errors))

        asyncio.run(connected())


_pass_session = click.make_pass_decorator(_Session)


@cluster_family.command
@click.option("--dry-run", is_flag=True, help="Print what would be done on bare hosts, and do nothing.")
@_pass_session
def init(session: _Session, dry_run: bool) -> None:
    """Make all hosts of the inventory a cluster. What is as it should be already is left alone."""
    config = session.config()
    if dry_run:
        _print_plans(config)
        return

    async def act(fleet: Fleet) -> None:
        await Setup(config, fleet, session.report).run()
        click.echo(session.report.summary(len(config.cluster.hosts)))

    session.on_hosts(config, act)


def _control(verb: Callable[[Fleet, Mapping[str, HostPlan], Report], Awaitable[None]]) -> Callable[..., None]:
    def command(session: _Session) -> None:
        config = session.config()

        async def act(fleet: Fleet) -> None:
            await verb(fleet, _outlines(config), session.report)
            click.echo(session.report.summary(len(config.cluster.hosts)))

        session.on_hosts(config, act)

    command.__doc__ = (verb.__doc__ or "").partition(" Raises")[0]
    return command


for _name, _verb in (
    ("start", operations.start),
    ("stop", operations.stop),
    ("restart", operations.restart),
):
    cluster_family.command(_name)(_pass_session(_control(_verb)))


@cluster_family.command
@_pass_session
def status(session: _Session) -> None:
    """Print what runs on each host. Fails where something that should run does not."""
    config = session.config()
    plans = _outlines(config)

    async def act(fleet: Fleet) -> None:
        found = await operations.status(fleet)
        down = []
        for name, host in found.results.items():
            units = ", ".join(f"{unit.name.removeprefix('blfs-mr-')} {unit.active}" for unit in host.units)
            click.echo(f"{name}: {units or 'not set up'}")
            if not host.is_running(plans[name]):
                down.append(name)
        found.check("asking")
        if down:
            raise ClusterError(f"not everything runs on {', '.join(down)}: `blfs-mr cluster start`")

    session.on_hosts(config, act, tolerate=True)


@cluster_family.command
@click.option("--yes", "confirmed", metavar="ID", help="The cluster's id, instead of being asked for it.")
@_pass_session
def teardown(session: _Session, confirmed: str | None) -> None:
    """Leave all hosts as they were: no daemon, volume, target, session, unit or user. Packages stay."""
    config = session.config()
    cluster = config.cluster
    given = confirmed
    if given is None:
        click.echo(f"This destroys the volumes of {', '.join(worker.name for worker in cluster.workers)}.")
        given = click.prompt("Type the cluster's id to go on", default="", show_default=False)
    if given != cluster.id:
        raise UsageError(f"the cluster's id is {cluster.id}, not {given!r}: nothing was done")

    async def act(fleet: Fleet) -> None:
        await operations.tear_down(fleet, _outlines(config), session.report)
        click.echo(f"{len(cluster.hosts)} hosts are as they were before; installed packages stay")

    session.on_hosts(config, act)


def _outlines(config: Config) -> Mapping[str, HostPlan]:
    """The plans without what only hosts know: enough for whatever does not set them up."""
    return host_plans(
        config,
        initiators={worker.name: f"(initiator name of {worker.name})" for worker in config.cluster.workers},
        chap=operator_chap(config),
        secret="",
        units=unit_files(),
    )


def _print_plans(config: Config) -> None:
    for name, plan in _outlines(config).items():
        click.echo(f"# {name}")
        click.echo("## look, without changing anything; then packages, where programs are missing")
        click.echo(f"## program: wheels to {BUNDLE_FILE.rpartition('/')[0]}")
        for phase in (Phase.PREPARE, Phase.JOIN):
            for step in steps_of(plan, phase):
                click.echo(f"## {step.name}")
                for command in step.commands:
                    click.echo(command)


def _address(config: Config, host: HostSection) -> SshAddress:
    ssh = config.cluster.ssh
    return SshAddress(
        host.name,
        host.address,
        host.ssh_port or ssh.port,
        host.ssh_user or ssh.user,
        host.ssh_key or ssh.key,
        host.host_key,
    )


def _told(what: str, errors: Mapping[str, BlfsMrError]) -> str:
    return "\n".join((f"{what}:", *(f"  {error}" for error in errors.values())))
