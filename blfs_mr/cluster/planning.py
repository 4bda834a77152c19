"""From the configuration to a plan for each host. Pure.

What a host must be told and the configuration does not say comes as arguments: the initiator names that
hosts gave themselves, and the credentials.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from blfs_mr.cluster.checks import LIO_MODULES
from blfs_mr.cluster.credentials import Chap
from blfs_mr.cluster.places import (
    CONFIG_FILE,
    DAEMON_USER,
    HOME,
    MASTER_CONFIG_FILE,
    NODE_FILE,
    SECRET_FILE,
    TASK_USER,
    TLS_FOLDERS,
    mount_point,
)
from blfs_mr.cluster.plan import Access, Export, HostFile, HostPlan, HostRoles, Login, OwnVolume, PeerVolume
from blfs_mr.config import Config
from blfs_mr.errors import ConfigError
from blfs_mr.inventory import ClusterSection, HostSection, WorkerHostSection
from blfs_mr.pki import CertificateRole
from blfs_mr.volume.geometry import NamedFile, format_shared_files, parse_shared_files, uniform_files

TlsTexts = Callable[[CertificateRole, str, str], Mapping[str, str]]
"""A folder of credentials for a role, a host's name and its address: file names and texts."""

_CONFIG_FILES: Mapping[CertificateRole, str] = {"master": MASTER_CONFIG_FILE, "worker": CONFIG_FILE}
_UNIT_FOLDER = "/etc/systemd/system"
_CONF_FOLDERS = {"sysusers.d": "/etc/sysusers.d", "tmpfiles.d": "/etc/tmpfiles.d"}

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
    secrets: Sequence[str],
    units: Mapping[str, str],
    tls: TlsTexts,
    without: Sequence[str] = (),
) -> dict[str, HostPlan]:
    """The plan of each host, by name; hosts named in ``without`` are left out, as if they were not there.

    Of ``secrets``, newest first, the master admits all; the others prove themselves with the newest.
    """
    cluster = config.cluster
    workers = [worker for worker in cluster.workers if worker.name not in without]
    files = format_shared_files(shared_files(cluster))
    plans = {}
    for host in cluster.hosts:
        if host.name not in without:
            plan = _plan(config, host, workers, files, initiators, chap)
            plans[host.name] = plan.model_copy(
                update={
                    "files": tuple(_files(config, host, plan, secrets, tls)),
                    "units": tuple(_unit(path, text) for path, text in units.items()),
                }
            )
    return plans


def _plan(
    config: Config,
    host: HostSection,
    workers: Sequence[WorkerHostSection],
    listing: str,
    initiators: Mapping[str, str],
    chap: Mapping[str, Chap],
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
        export=_export(cluster, own, workers, initiators, chap) if lio and own is not None else None,
        logins=tuple(logins),
        own=volume,
        peers=tuple(peers),
    )


def _files(
    config: Config, host: HostSection, plan: HostPlan, secrets: Sequence[str], tls: TlsTexts
) -> Iterator[HostFile]:
    known = secrets if plan.runs_master else secrets[:1]
    yield _private(SECRET_FILE, "".join(f"{secret}\n" for secret in known))
    yield _file(NODE_FILE, f"BLFS_MR_NAME={host.name}\n", "0644")
    for role, path in _CONFIG_FILES.items():
        if plan.runs_master if role == "master" else plan.runs_worker:
            folder = TLS_FOLDERS[role]
            yield _file(path, host_config(config, plan.own, plan.peers, folder), "0640")
            for name, text in tls(role, host.name, host.address).items():
                yield _private(f"{folder}/{name}", text)


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


def _private(path: str, text: str) -> HostFile:
    return HostFile(path=path, text=text, mode="0600", user=DAEMON_USER, group=DAEMON_USER)


def _file(path: str, text: str, mode: str) -> HostFile:
    return HostFile(path=path, text=text, mode=mode, user="root", group=DAEMON_USER)


def _unit(path: str, text: str) -> HostFile:
    folder, _, name = path.rpartition("/")
    place = f"{_CONF_FOLDERS[folder]}/{name}" if folder in _CONF_FOLDERS else f"{_UNIT_FOLDER}/{path}"
    return HostFile(path=place, text=text, mode="0644")


# ---------------------------------------------------------------- the configuration of a host


def host_config(config: Config, own: OwnVolume | None, peers: Sequence[PeerVolume], tls_folder: str) -> str:
    """The configuration of one host's daemon: what the operator's says of them, with this host's volumes."""
    stated = config.model_dump(
        mode="json", exclude_unset=True, include={"master", "worker", "job", "logging"}
    )
    master = stated.get("master", {}) | {"host": config.cluster.master_section.address}
    worker: dict[str, Any] = {"task_user": TASK_USER}
    worker |= {key: value for key, value in stated.get("worker", {}).items() if key not in _OWN_WORKER_KEYS}
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
            "tls": {"folder": tls_folder},
            "master": master,
            "worker": worker,
            "job": stated.get("job", {}),
            "logging": stated.get("logging", {}),
        }
    )


def submitter_config(config: Config, folder: str) -> str:
    """The ``config.toml`` of a submitter elsewhere, whose credentials stand in ``folder`` of its own home."""
    master = {"host": config.cluster.master_section.address, "port": config.master.port}
    return _toml(
        {
            "home": f"~/{folder}",
            "secret_file": "{home}/secret",
            "cluster": {"id": config.cluster.id},
            "tls": {"folder": "{home}"},
            "master": master,
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
