"""The section ``[cluster]`` of ``config.toml``: which cluster this is, and the inventory of its hosts.

Daemons need its id alone. The rest is for ``blfs-mr cluster``, which makes hosts what the inventory says.
Values are checked one by one by the models; what must hold between them by :func:`inventory_mistakes`, which
looks at the file as it stands, so that an operator sees all mistakes of both kinds at once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

from pydantic import Field

from blfs_mr.client_config import DEFAULT_CLUSTER
from blfs_mr.config_values import NAME_PATTERN, AbsolutePath, Duration, Section, Size

_MIB = 1 << 20
_GIB = 1 << 30

# What stands in commands of targetcli and in rules of udev: no blanks, quotes or wildcards.
_DEVICE = r"/dev/[A-Za-z0-9_./:@+-]+"
_DEVICE_SAYS = 'a path in /dev, best one that lasts, such as "/dev/disk/by-id/…"'
_ADDRESS = r"[A-Za-z0-9.:-]{1,253}"

# An iSCSI name has small letters only, and no underscore (RFC 3722).
_ISCSI_NAME = re.compile(r"[a-z0-9-]+")

DEFAULT_TARGET = "iqn.2022-05.{address}:{name}"


class SshSection(Section):
    """How hosts are reached, where an entry of the inventory says nothing else."""

    user: str = Field(default="root", pattern=r"^[a-z_][a-z0-9_.-]*$", description="a user of the hosts")
    port: int = Field(default=22, ge=1, le=65535, description="1 to 65535")
    key: AbsolutePath | None = Field(
        default=None, description="a private key's file; left out: the agent's and those in ~/.ssh"
    )
    known_hosts: AbsolutePath | None = Field(
        default=None, description="a file of known host keys; left out: ~/.ssh/known_hosts"
    )


class IscsiSection(Section):
    """How volumes are shared where ``attach`` is "lio". Times are seconds."""

    target: str = Field(
        default=DEFAULT_TARGET,
        pattern=r"^iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.:{}-]+$",
        description='an iSCSI name; "{address}" stands for the data address, "{name}" for the worker\'s name',
    )
    port: int = Field(default=3260, ge=1, le=65535, description="1 to 65535")
    chap: bool = Field(default=True, description="true or false")
    replacement_timeout: Duration = Field(
        default=20.0,
        ge=1,
        le=600,
        description='a duration from "1s" to "10min": how long reads of a lost target wait before they fail',
    )


class LimitsSection(Section):
    """What hosts must offer, and how long they may take. Sizes are bytes, times seconds."""

    hosts_at_once: int = Field(default=64, ge=1, le=1024, description="1 to 1024")
    connect_deadline: Duration = Field(
        default=30.0, ge=1, le=600, description='a duration from "1s" to "10min"'
    )
    command_deadline: Duration = Field(
        default=600.0, ge=5, le=86400, description='a duration from "5s" to "24h"'
    )
    clock_skew: Duration = Field(default=30.0, ge=1, le=3600, description='a duration from "1s" to "1h"')
    free_space: Size = Field(
        default=_GIB, ge=0, le=1024 * _GIB, description='a size up to "1TiB", such as "1GiB"'
    )


class HostSection(Section):
    """One host: its name, and how it is reached. Empty values stand for those of ``[cluster.ssh]``."""

    name: str = Field(pattern=NAME_PATTERN, description="1 to 64 letters, digits, - and _")
    address: str = Field(pattern=f"^{_ADDRESS}$", description="an IP address or a host's name")
    data_address: str = Field(
        default="", pattern=f"^({_ADDRESS})?$", description="the IP address in the network of the volumes"
    )
    ssh_user: str = Field(default="", pattern=r"^([a-z_][a-z0-9_.-]*)?$", description="a user of the host")
    ssh_port: int | None = Field(default=None, ge=1, le=65535, description="1 to 65535")
    ssh_key: AbsolutePath | None = Field(default=None, description="a private key's file")
    host_key: str = Field(
        default="",
        pattern=r"^(SHA256:[A-Za-z0-9+/]{43})?$",
        description='the fingerprint of the host\'s key, "SHA256:…", as `ssh-keygen -l` prints it',
    )

    @property
    def data(self) -> str:
        """The address in the network of the volumes."""
        return self.data_address or self.address


class WorkerHostSection(HostSection):
    """A host that runs a worker, with the device of its volume."""

    device: str = Field(pattern=f"^{_DEVICE}$", description=_DEVICE_SAYS)
    peer_device: str = Field(
        default="",
        pattern=f"^({_DEVICE})?$",
        description="the path of this worker's volume on its peers, "
        'where attach is "given" and all of them have it at the same path',
    )
    peer_devices: dict[str, str] = Field(
        default={}, description='the paths of the other workers\' volumes on this host: {name = "/dev/…"}'
    )


class ClusterSection(Section):
    """Which cluster this is: peers of another one are refused at the handshake. And its inventory."""

    id: str = Field(
        default=DEFAULT_CLUSTER, pattern=NAME_PATTERN, description="1 to 64 letters, digits, - and _"
    )
    master: str = Field(
        default="",
        pattern="^([A-Za-z0-9_-]{1,64})?$",
        description="the name of the worker whose host runs the master; left out: the first",
    )
    master_host: HostSection | None = Field(
        default=None, description="a table like those of workers, for a master with a host of its own"
    )
    attach: Literal["lio", "given"] = Field(
        default="lio", description='"lio", or "given" for volumes that the hosts see already'
    )
    layout: Literal["file", "raw"] = Field(default="file", description='"file" or "raw"')
    file_system: Literal["ext4", "xfs"] = Field(default="ext4", description='"ext4" or "xfs"')
    shared_files: int = Field(default=64, ge=1, le=100_000, description="1 to 100000")
    shared_file_size: Size = Field(
        default=16 * _MIB,
        ge=64 * 1024,
        le=1024 * _GIB,
        multiple_of=4096,
        description='a size from "64KiB" to "1TiB" that is a multiple of 4KiB, such as "16MiB"',
    )
    sharedfiles: AbsolutePath | None = Field(
        default=None,
        description="a file of lines name:size that stands instead of shared_files and shared_file_size",
    )
    volume_gid: int = Field(
        default=7070, ge=100, le=60_000, description="100 to 60000: a number that is free on all hosts"
    )
    packages: AbsolutePath | None = Field(
        default=None, description="a folder of package files for hosts that reach no repository"
    )
    wheels: AbsolutePath | None = Field(
        default=None, description="a folder of wheels for hosts whose Python is another than this one"
    )
    ssh: SshSection = SshSection()
    iscsi: IscsiSection = IscsiSection()
    limits: LimitsSection = LimitsSection()
    # Not strict, for TOML has lists and a frozen configuration has tuples.
    workers: tuple[WorkerHostSection, ...] = Field(
        default=(), strict=False, description="tables [[cluster.workers]] with at least name, address, device"
    )

    @property
    def master_section(self) -> HostSection:
        """The host that runs the master. There must be workers."""
        if self.master_host is not None:
            return self.master_host
        return next((worker for worker in self.workers if worker.name == self.master), self.workers[0])

    @property
    def hosts(self) -> tuple[HostSection, ...]:
        """All hosts, the master's first."""
        master = self.master_section
        return (master, *(worker for worker in self.workers if worker is not master))

    def peer_path(self, host: WorkerHostSection, owner: WorkerHostSection) -> str:
        """Where ``host`` sees the volume of ``owner`` that is given; empty where nobody said."""
        return host.peer_devices.get(owner.name, owner.peer_device)


# ---------------------------------------------------------------- what must hold between values


def inventory_mistakes(section: object) -> list[str]:
    """All contradictions in the table ``[cluster]`` as it was read; wrong types are left to the models."""
    if not isinstance(section, Mapping):
        return []
    workers = [entry for entry in _list(section.get("workers")) if isinstance(entry, Mapping)]
    hosts: list[Mapping[str, Any]] = list(workers)
    if isinstance(section.get("master_host"), Mapping):
        hosts.append(section["master_host"])
    names = [name for entry in workers if (name := _text(entry, "name"))]
    given = section.get("attach") == "given"
    return [
        *_repeated(hosts, "name", "a name belongs to one host"),
        *_same_place(hosts),
        *_master_mistakes(section, names),
        *_master_address_mistakes(section, workers),
        *_shared_files_mistakes(section),
        *(_given_mistakes(workers, names) if given else _lio_mistakes(workers)),
    ]


def _repeated(hosts: Sequence[Mapping[str, Any]], key: str, reason: str) -> Iterator[str]:
    values = [_text(entry, key) for entry in hosts]
    for value in sorted({value for value in values if value and values.count(value) > 1}):
        yield f'cluster: {values.count(value)} hosts have {key} = "{value}": {reason}'


def _same_place(hosts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one, other in combinations(hosts, 2):
        place = (_text(one, "address"), one.get("ssh_port"))
        if place[0] and place == (_text(other, "address"), other.get("ssh_port")):
            yield (
                f'cluster: {_who(one)} and {_who(other)} have address = "{place[0]}": '
                "a host has one entry (and one worker)"
            )


def _master_mistakes(section: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    master = _text(section, "master")
    if master and "master_host" in section:
        yield "cluster.master and cluster.master_host: one of them stands instead of the other"
    elif master and master not in names:
        known = ", ".join(names) or "there are no workers"
        yield (
            f'cluster.master = "{master}" is no worker\'s name ({known}); a host without a worker is '
            "described by cluster.master_host"
        )


def _master_address_mistakes(
    section: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    named = [entry for entry in workers if _text(entry, "name") == _text(section, "master")]
    host = section.get("master_host") or next(iter([*named, *workers]), None)
    address = _text(host, "address") if isinstance(host, Mapping) else ""
    if isinstance(host, Mapping) and address and not _ip_version(address):
        yield (
            f'cluster: the master\'s host {_who(host)} has address = "{address}", and daemons listen at '
            "an IP address: give that"
        )


def _shared_files_mistakes(section: Mapping[str, Any]) -> Iterator[str]:
    if "sharedfiles" in section and ("shared_files" in section or "shared_file_size" in section):
        yield (
            "cluster.sharedfiles stands instead of cluster.shared_files and cluster.shared_file_size: leave "
            "those out"
        )


def _given_mistakes(workers: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    for entry in workers:
        paths = entry.get("peer_devices", {})
        if not isinstance(paths, Mapping):
            continue
        for unknown in sorted(set(paths) - set(names)):
            yield f"cluster: peer_devices of {_who(entry)} names {unknown}, which is no worker"
        for name, path in paths.items():
            if not isinstance(path, str) or not re.fullmatch(_DEVICE, path):
                yield f"cluster: peer_devices of {_who(entry)}: {name} = {path!r}; allowed: {_DEVICE_SAYS}"
        for owner in workers:
            if owner is entry or _text(owner, "peer_device") or _text(owner, "name") in paths:
                continue
            yield (
                f'cluster: attach = "given", and {_who(entry)} has no path of the volume of {_who(owner)}: '
                f"give peer_device there, or peer_devices here"
            )


def _lio_mistakes(workers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in workers:
        address = _text(entry, "data_address") or _text(entry, "address")
        if address and _ip_version(address) != 4:
            yield (
                f'cluster: {_who(entry)} has address = "{address}", and volumes are reached by an IPv4 '
                "address: give it as data_address"
            )
        name = _text(entry, "name")
        if name and not _ISCSI_NAME.fullmatch(name):
            yield (
                f'cluster: the name "{name}" cannot be part of an iSCSI name: use small letters, digits and -'
            )
        for key in ("peer_device", "peer_devices"):
            if key in entry:
                yield f'cluster: {key} of {_who(entry)} is for attach = "given"; leave it out'
    yield from _repeated(workers, "data_address", "each host has its own")


def _ip_version(address: str) -> int:
    """4 or 6; 0 for what is no IP address."""
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key, "")
    return value if isinstance(value, str) else ""


def _who(entry: Mapping[str, Any]) -> str:
    return _text(entry, "name") or "a host without a name"
