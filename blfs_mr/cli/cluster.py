"""``blfs-mr cluster``: from an inventory in config.toml to a running cluster, over SSH."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import click

from blfs_mr.cli.session import Session, inventory_options, pass_session
from blfs_mr.cluster import operations
from blfs_mr.cluster.certificates import TLS_FILES, operator_certificates
from blfs_mr.cluster.doctor import ROUNDS, examine_volumes
from blfs_mr.cluster.fleet import Fleet
from blfs_mr.cluster.host.phases import Phase, steps_of
from blfs_mr.cluster.importing import imported_config
from blfs_mr.cluster.places import BUNDLE_FILE
from blfs_mr.cluster.plan import HostPlan, Roles
from blfs_mr.cluster.planning import host_plans, host_roles
from blfs_mr.cluster.reporting import Report
from blfs_mr.cluster.rotation import revoke_credentials, rotate_credentials, write_credentials
from blfs_mr.cluster.setup import Setup, operator_chap, operator_folder
from blfs_mr.cluster.wheels import unit_files
from blfs_mr.config import Config
from blfs_mr.errors import ClusterError, UsageError


@click.group("cluster", no_args_is_help=False)
@inventory_options
@click.option("-v", "--verbose", is_flag=True, help="Tell also of steps that had nothing to change.")
@click.pass_context
def cluster_family(context: click.Context, path: Path | None, accept_new: bool, verbose: bool) -> None:
    """Set up, run and take down the cluster that config.toml describes."""
    context.obj = Session(path, accept_new, verbose=verbose)


@cluster_family.command
@click.option("--dry-run", is_flag=True, help="Print what would be done on bare hosts, and do nothing.")
@pass_session
def init(session: Session, dry_run: bool) -> None:
    """Make all hosts of the inventory a cluster. What is as it should be already is left alone."""
    config = session.config()
    if dry_run:
        _print_plans(config)
        return

    async def act(fleet: Fleet) -> None:
        plans = await Setup(config, fleet, session.report).run()
        await examine_volumes(fleet, plans, session.report, ROUNDS)
        click.echo(session.report.summary(len(plans)))

    session.on_hosts(config, act)


def _control(verb: Callable[[Fleet, Mapping[str, Roles], Report], Awaitable[None]]) -> Callable[..., None]:
    def command(session: Session) -> None:
        config = session.config()

        async def act(fleet: Fleet) -> None:
            await verb(fleet, host_roles(config.cluster), session.report)
            click.echo(session.report.summary(len(config.cluster.hosts)))

        session.on_hosts(config, act)

    command.__doc__ = (verb.__doc__ or "").partition(" Raises")[0]
    return command


for _name, _verb in (
    ("start", operations.start),
    ("stop", operations.stop),
    ("restart", operations.restart),
):
    cluster_family.command(_name)(pass_session(_control(_verb)))


@cluster_family.command
@pass_session
def status(session: Session) -> None:
    """Print what runs on each host. Fails where something that should run does not."""
    config = session.config()
    roles = host_roles(config.cluster)

    async def act(fleet: Fleet) -> None:
        found = await operations.status(fleet)
        down = []
        for name, host in found.results.items():
            shown = host.units_of(roles[name])
            units = ", ".join(f"{unit.name.removeprefix('blfs-mr-')} {unit.active}" for unit in shown)
            click.echo(f"{name}: {units or 'not set up'}")
            if not host.is_running(roles[name]):
                down.append(name)
        found.check("asking")
        if down:
            raise ClusterError(f"not everything runs on {', '.join(down)}: `blfs-mr cluster start`")

    session.on_hosts(config, act, tolerate=True)


@cluster_family.command
@click.option("--rounds", type=click.IntRange(1, 10_000_000), default=ROUNDS, show_default=True)
@pass_session
def doctor(session: Session, rounds: int) -> None:
    """Examine the path of every volume, from its owner to all of its peers, with a live canary.

    Jobs may run meanwhile. Fails where a line of the consistency contract is broken.
    """
    config = session.config()

    async def act(fleet: Fleet) -> None:
        await examine_volumes(fleet, _outlines(config), session.report, rounds)

    session.on_hosts(config, act)


@cluster_family.command
@pass_session
def rotate(session: Session) -> None:
    """Give the cluster a new secret and new certificates, without stopping jobs."""
    config = session.config()

    async def act(fleet: Fleet) -> None:
        await rotate_credentials(config, fleet, session.report)
        click.echo("the cluster has a new secret and new certificates; give submitters elsewhere new ones")

    session.on_hosts(config, act)


@cluster_family.command
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A new folder for it.")
@pass_session
def credentials(session: Session, name: str, output: Path) -> None:
    """Write what NAME needs to submit jobs from another machine: configuration, secret and certificate.

    Whoever has it can run code on the cluster. `cluster revoke NAME` ends that.
    """
    write_credentials(session.config(), name, output)
    place = f"~/{output.resolve().name}"
    click.echo(f"{output}: copy it to {place} there, and submit with --config {place}/config.toml")


@cluster_family.command
@click.argument("name")
@pass_session
def revoke(session: Session, name: str) -> None:
    """Cut off the host or submitter NAME: the master closes its links and lets it in no more."""
    config = session.config()

    async def act(fleet: Fleet) -> None:
        await revoke_credentials(config, fleet, session.report, name)
        click.echo(f"{name} is cut off; the secret it knows ends with `cluster rotate`")

    session.on_hosts(config, act, names=[config.cluster.master_section.name])


@cluster_family.command
@pass_session
def upgrade(session: Session) -> None:
    """Bring the program that runs here to all hosts, and restart the daemons of an older one.

    The master is restarted first, then the workers. What workers have published stays readable meanwhile.
    """
    config = session.config()

    async def act(fleet: Fleet) -> None:
        plans = await Setup(config, fleet, session.report).run()
        await operations.restart_outdated(fleet, plans, session.report)
        click.echo(session.report.summary(len(plans)))

    session.on_hosts(config, act)


@cluster_family.command
@click.argument("node")
@pass_session
def add(session: Session, node: str) -> None:
    """Make NODE, which stands in the inventory, a part of the running cluster.

    All other hosts let it in, log in to its target and attach its volume.
    """
    config = session.config()
    _check_worker(config, node)

    async def act(fleet: Fleet) -> None:
        plans = await Setup(config, fleet, session.report).run()
        await operations.start(fleet, {node: plans[node]}, session.report)
        click.echo(session.report.summary(len(plans)))

    session.on_hosts(config, act)


@cluster_family.command
@click.argument("node")
@click.option("--gone", is_flag=True, help="NODE cannot be reached any more: do without its own part.")
@pass_session
def remove(session: Session, node: str, gone: bool) -> None:
    """Take NODE out of the cluster: its peers let go of its volume, and it is as it was before.

    NODE still stands in the inventory; take it out there afterwards.
    """
    config = session.config()
    _check_worker(config, node)
    if config.cluster.master_section.name == node:
        raise UsageError(f"{node} runs the master: move that first (cluster.master), then run init")
    its = {node: _outlines(config)[node]}

    async def act(fleet: Fleet) -> None:
        if not gone:
            await operations.leave(fleet, its, session.report)
        operator_certificates(operator_folder(config), config.cluster.id).forget(node)
        await Setup(config, fleet.without(node), session.report, without=(node,)).run()
        if not gone:
            await operations.remove(fleet, its, session.report)
        click.echo(f"{node} is no part of the cluster any more; take it out of the inventory")

    names = [host.name for host in config.cluster.hosts if not gone or host.name != node]
    session.on_hosts(config, act, names=names)


@cluster_family.command("import")
@click.argument("workers", type=click.Path(path_type=Path))
@click.option("--device", required=True, help="The device of each worker's volume.")
@click.option("--sharedfiles", type=click.Path(path_type=Path), help="A file of lines name:size.")
@click.option("--id", "identity", default="blfs-mr", show_default=True, help="The new cluster's id.")
def import_command(workers: Path, device: str, sharedfiles: Path | None, identity: str) -> None:
    """Print a config.toml for the hosts of WORKERS, a file of lines name:address."""
    click.echo(imported_config(workers, sharedfiles, device, identity), nl=False)


@cluster_family.command
@click.option("--yes", "confirmed", metavar="ID", help="The cluster's id, instead of being asked for it.")
@pass_session
def teardown(session: Session, confirmed: str | None) -> None:
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


def _check_worker(config: Config, name: str) -> None:
    names = [worker.name for worker in config.cluster.workers]
    if name not in names:
        raise UsageError(f"the inventory has no worker {name}; it has {', '.join(names)}")


def _outlines(config: Config) -> Mapping[str, HostPlan]:
    """The plans without what only hosts know: enough for whatever does not set them up."""
    return host_plans(
        config,
        initiators={worker.name: f"(initiator name of {worker.name})" for worker in config.cluster.workers},
        chap=operator_chap(config),
        secrets=[""],
        units=unit_files(),
        tls=lambda role, name, address: dict.fromkeys(TLS_FILES, ""),
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
