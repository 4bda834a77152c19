"""New secrets and certificates for a running cluster, and those of submitters elsewhere.

A rotation stops nothing: the master admits the old secret beside the new one until all hosts have the new
one. While it is under way the operator's own secret file holds both, so one that was cut short is finished by
the next, and an ``init`` in between keeps to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from blfs_mr.cluster.certificates import Certificates, file_texts, operator_certificates, write_folder
from blfs_mr.cluster.fleet import Fleet
from blfs_mr.cluster.host.phases import Phase
from blfs_mr.cluster.planning import submitter_config
from blfs_mr.cluster.reporting import Report
from blfs_mr.cluster.setup import Setup, operator_folder
from blfs_mr.config import Config
from blfs_mr.config_values import NAME
from blfs_mr.errors import UsageError
from blfs_mr.pki import write_certificate, write_key
from blfs_mr.secret import load_or_create_secrets, retire_old_secret, rotate_secret


async def rotate_credentials(config: Config, fleet: Fleet, report: Report) -> None:
    """Replace the secret and the certificates of all daemons. Raises ClusterError or ConfigError."""
    cluster = config.cluster
    master, certificates = cluster.master_section, _certificates(config)
    certificates.credential("master", master.name, master.address, renew=True)
    for worker in cluster.workers:
        certificates.credential("worker", worker.name, worker.address, renew=True)
    if len(load_or_create_secrets(config.secret_path)) == 1:
        rotate_secret(config.secret_path)
    # The master first, so that it admits the new secret before anybody has it.
    await _configure(config, fleet, report, [master.name])
    await _configure(config, fleet, report, [host.name for host in cluster.hosts])
    retire_old_secret(config.secret_path)
    await _configure(config, fleet, report, [master.name])


async def revoke_credentials(config: Config, fleet: Fleet, report: Report, name: str) -> None:
    """Revoke all that ``name`` was given, and have the master know. Raises UsageError for an unknown one."""
    if not _certificates(config).forget(name):
        raise UsageError(f"nothing was ever issued to {name}, or all of it is revoked already")
    await _configure(config, fleet, report, [config.cluster.master_section.name])


def write_credentials(config: Config, name: str, folder: Path) -> None:
    """Make ``folder`` with all that a submitter called ``name`` needs. Raises UsageError where it exists."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a submitter's name: use 1 to 64 letters, digits, - and _")
    if name in {host.name for host in config.cluster.hosts}:
        raise UsageError(f"{name} is a host of the cluster: give the submitter another name")
    if folder.exists():
        raise UsageError(f"{folder} exists already: name a new folder")
    certificates = _certificates(config)
    secret = load_or_create_secrets(config.secret_path)[0].hex()
    write_folder(folder, file_texts(certificates, certificates.credential("client", name, "")))
    write_key(folder / "secret", f"{secret}\n".encode("ascii"))
    write_certificate(folder / "config.toml", submitter_config(config, folder.resolve().name).encode())


async def _configure(config: Config, fleet: Fleet, report: Report, names: Sequence[str]) -> None:
    setup = Setup(config, fleet, report)
    # Neither of these files says anything of initiators.
    plans = setup.plans({worker.name: "" for worker in config.cluster.workers})
    await setup.apply({name: plans[name] for name in names}, Phase.CONFIGURE)


def _certificates(config: Config) -> Certificates:
    return operator_certificates(operator_folder(config), config.cluster.id)
