"""What families of commands share that reach the hosts of the inventory: their options, and the connections.

What connects is imported where it is needed: these families have commands that reach no host.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from blfs_mr.cluster.reporting import Report
from blfs_mr.errors import BlfsMrError, ClusterError, UsageError

if TYPE_CHECKING:
    from blfs_mr.cluster.fleet import Fleet
    from blfs_mr.cluster.ssh import SshAddress
    from blfs_mr.config import Config
    from blfs_mr.inventory import HostSection

Family = TypeVar("Family", bound=Callable[..., Any])


def inventory_options(family: Family) -> Family:
    """Give a family of commands ``path`` and ``accept_new``, of which a :class:`Session` is made."""
    accept_new = click.option(
        "--accept-new-host-keys",
        "accept_new",
        is_flag=True,
        help="Trust hosts that are met for the first time.",
    )
    config = click.option("--config", "path", type=click.Path(path_type=Path), help="The configuration file.")
    return config(accept_new(family))


class Session:
    """What the commands of one call share."""

    def __init__(self, path: Path | None, accept_new: bool, *, verbose: bool = False) -> None:
        self._path, self._accept_new = path, accept_new
        self.report = Report(click.echo, verbose)

    def config(self) -> Config:
        """The configuration, which has an inventory. Raises ConfigError, UsageError."""
        from blfs_mr.config import load_config

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

        import uvloop

        async def connected() -> None:
            async with self.connected(config, names or None) as (fleet, errors):
                if errors and not tolerate:
                    raise unreachable("nothing was done, because not all hosts can be reached", errors)
                await action(fleet)
                if errors:
                    raise unreachable("not all hosts can be reached", errors)

        uvloop.run(connected())

    def connected(
        self, config: Config, names: Sequence[str] | None = None
    ) -> AbstractAsyncContextManager[tuple[Fleet, Mapping[str, BlfsMrError]]]:
        """Connections to all hosts, or to those of ``names``, and the errors of those out of reach."""
        from blfs_mr.cluster.fleet import connected_fleet
        from blfs_mr.cluster.setup import operator_folder
        from blfs_mr.cluster.ssh import SshPolicy

        cluster = config.cluster
        hosts = [host for host in cluster.hosts if names is None or host.name in names]
        own = cluster.ssh.known_hosts or Path("~/.ssh/known_hosts").expanduser()
        policy = SshPolicy(
            (operator_folder(config) / "known_hosts", own),
            self._accept_new,
            cluster.limits.connect_deadline,
            cluster.limits.command_deadline,
        )
        addresses = [_address(config, host) for host in hosts]
        return connected_fleet(addresses, policy, cluster.limits.hosts_at_once)


pass_session = click.make_pass_decorator(Session)


def unreachable(what: str, errors: Mapping[str, BlfsMrError]) -> ClusterError:
    """``what`` came of it that hosts cannot be reached, and why each cannot."""
    return ClusterError("\n".join((f"{what}:", *(f"  {error}" for error in errors.values()))))


def _address(config: Config, host: HostSection) -> SshAddress:
    from blfs_mr.cluster.ssh import SshAddress

    ssh = config.cluster.ssh
    return SshAddress(
        host.name,
        host.address,
        host.ssh_port or ssh.port,
        host.ssh_user or ssh.user,
        host.ssh_key or ssh.key,
        host.host_key,
    )
