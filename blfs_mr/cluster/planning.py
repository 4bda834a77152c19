"""From the configuration to a plan for each host. Pure.

What a host must be told and the configuration does not say comes as arguments: the initiator names that
hosts gave themselves, and the credentials.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from blfs_mr.cluster.checks import LIO_MODULES
from blfs_mr.cluster.credentials import Chap
from blfs_mr.cluster.places import (
    CONFIG_FILE,
    DAEMON_USER,
    HOME,
    NODE_FILE,
    SECRET_FILE,
    mount_point,
)
from blfs_mr.cluster.plan import Access, Export, HostFile, HostPlan, HostRoles, Login, OwnVolume, PeerVolume
from blfs_mr.config import Config
from blfs_mr.errors import ConfigError
from blfs_mr.inventory import ClusterSection, HostSection, WorkerHostSection
from blfs_mr.volume.geometry import NamedFile, format_shared_files, parse_shared_files, uniform_files

_UNIT_FOLDERS = {"sysusers.d": "/etc/sysusers.d", "tmpfiles.d": "/etc/tmpfiles.d"}

# What the operator's [worker] says of volumes is not for the hosts: the inventory does.
_OWN_WORKER_KEYS = {"layout", "volume", "device", "peers", "scratch", "output"} | {
    "shared_files",
    "shared_file_size",
}


def shared_files(cluster: ClusterSection) -> Sequence[NamedFile]:
    """The shared files of each volume. Raises ConfigError for a list that cannot be read."""
    if cluster.sharedfiles is None:
        return uniform_files(cluster.shared_files, cluster.shared_file_size)
    try:
        return parse_shared_files(cluster.sharedfiles.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cluster.sharedfiles: {cluster.sharedfiles} cannot be read: {error}") from error


def target_name(cluster: ClusterSection, worker: WorkerHostSection) -> str:
    """The iSCSI name of a worker's target."""
    return cluster.iscsi.target.replace("{address}", worker.data).replace("{name}", worker.name)


def host_roles(cluster: ClusterSection) -> dict[str, HostRoles]:
    """What runs on each host, by name."""
    return {
        host.name: HostRoles(host is cluster.master_section, isinstance(host, WorkerHostSection))
        for host in cluster.hosts
    }


def host_plans(
    config: Config,
    *,
    initiators: Mapping[str, str],
    chap: Mapping[str, Chap],
    secret: str,
    units: Mapping[str, str],
    without: Sequence[str] = (),
) -> dict[str, HostPlan]:
    """The plan of each host, by name; hosts named in ``without`` are left out, as if they were not there."""
    cluster = config.cluster
    workers = [worker for worker in cluster.workers if worker.name not in without]
    files = format_shared_files(shared_files(cluster))
    plans = {}
    for host in cluster.hosts:
        if host.name not in without:
            plans[host.name] = _plan(config, host, workers, files, initiators, chap, secret, units)
    return plans


def _plan(
    config: Config,
    host: HostSection,
    workers: Sequence[WorkerHostSection],
    listing: str,
    initiators: Mapping[str, str],
    chap: Mapping[str, Chap],
    secret: str,
    units: Mapping[str, str],
) -> HostPlan:
    cluster = config.cluster
    own = host if isinstance(host, WorkerHostSection) else None
    lio = cluster.attach == "lio" and own is not None
    logins = [_login(cluster, worker, chap.get(host.name)) for worker in workers] if lio else []
    paths = {login.worker: login.device for login in logins}
    mounted = cluster.layout == "file"
    peers = [
        PeerVolume(
            worker=peer.name,
            device=paths.get(peer.name) or cluster.peer_path(own, peer),
            mount=mount_point(peer.name) if mounted else "",
        )
        for peer in workers
        if own is not None and peer is not own
    ]
    volume = None
    if own is not None:
        volume = OwnVolume(
            device=paths.get(own.name, own.device),
            mount=mount_point(own.name) if mounted else "",
            layout=cluster.layout,
            file_system=cluster.file_system,
            shared_files=listing,
        )
    return HostPlan(
        cluster=cluster.id,
        name=host.name,
        runs_master=host is cluster.master_section,
        runs_worker=own is not None,
        volume_gid=cluster.volume_gid,
        replacement_timeout=cluster.iscsi.replacement_timeout,
        modules=LIO_MODULES if lio else (),
        units=tuple(_unit(path, text) for path, text in units.items()),
        files=(
            _file(CONFIG_FILE, host_config(config, host, volume, peers), "0640"),
            HostFile(path=SECRET_FILE, text=f"{secret}\n", mode="0600", user=DAEMON_USER, group=DAEMON_USER),
            _file(NODE_FILE, f"BLFS_MR_NAME={host.name}\n", "0644"),
        ),
        export=_export(cluster, own, workers, initiators, chap) if lio and own is not None else None,
        logins=tuple(logins),
        own=volume,
        peers=tuple(peers),
    )


def _export(
    cluster: ClusterSection,
    own: WorkerHostSection,
    workers: Sequence[WorkerHostSection],
    initiators: Mapping[str, str],
    chap: Mapping[str, Chap],
) -> Export:
    return Export(
        target=target_name(cluster, own),
        address=own.data,
        port=cluster.iscsi.port,
        backstore=f"blfs-mr-{own.name}",
        device=own.device,
        access=tuple(
            Access(
                initiator=initiators[worker.name],
                writes=worker is own,
                user=chap[worker.name].user if worker.name in chap else "",
                password=chap[worker.name].password if worker.name in chap else "",
            )
            for worker in workers
        ),
    )


def _login(cluster: ClusterSection, worker: WorkerHostSection, chap: Chap | None) -> Login:
    return Login(
        worker=worker.name,
        target=target_name(cluster, worker),
        address=worker.data,
        port=cluster.iscsi.port,
        user=chap.user if chap else "",
        password=chap.password if chap else "",
    )


def _file(path: str, text: str, mode: str) -> HostFile:
    return HostFile(path=path, text=text, mode=mode, user="root", group=DAEMON_USER)


def _unit(path: str, text: str) -> HostFile:
    kind, _, name = path.rpartition("/")
    return HostFile(path=f"{_UNIT_FOLDERS.get(kind, '/etc/systemd/system')}/{name}", text=text, mode="0644")


# ---------------------------------------------------------------- the configuration of a host


def host_config(config: Config, host: HostSection, own: OwnVolume | None, peers: Sequence[PeerVolume]) -> str:
    """The ``config.toml`` of one host: what the operator's says of daemons, with this host's volumes."""
    stated = config.model_dump(
        mode="json", exclude_unset=True, include={"master", "worker", "job", "logging"}
    )
    master = stated.get("master", {}) | {"host": config.cluster.master_section.address}
    worker = {key: value for key, value in stated.get("worker", {}).items() if key not in _OWN_WORKER_KEYS}
    if own is not None:
        worker |= {"layout": own.layout, "device": own.device}
        if own.mount:
            worker["volume"] = own.mount
    worker["peers"] = [
        {"name": peer.worker, "device": peer.device} | ({"mount": peer.mount} if peer.mount else {})
        for peer in peers
    ]
    return _toml(
        {
            "home": HOME,
            "secret_file": SECRET_FILE,
            "cluster": {"id": config.cluster.id},
            "master": master,
            "worker": worker,
            "job": stated.get("job", {}),
            "logging": stated.get("logging", {}),
        }
    )


def _toml(values: Mapping[str, Any], prefix: str = "") -> str:
    """A table of TOML: plain values first, tables and lists of tables after them."""
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
        if not isinstance(value, (dict, list)) and value is not None
    ]
    for key, value in values.items():
        if isinstance(value, dict) and value:
            lines += ["", f"[{prefix}{key}]", _toml(value, f"{prefix}{key}.").rstrip("\n")]
        for entry in value if isinstance(value, list) else ():
            lines += ["", f"[[{prefix}{key}]]", _toml(entry, f"{prefix}{key}.").rstrip("\n")]
    return "\n".join(lines) + "\n"
