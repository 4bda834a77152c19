"""Where things stand on a host, and what they are called there. The units in ``systemd/`` agree with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Not loaded on hosts, whose half of the commands makes no certificate.
    from blfs_mr.pki import CertificateRole

CONFIG_FOLDER = "/etc/blfs-mr"
CONFIG_FILE = f"{CONFIG_FOLDER}/config.toml"
SECRET_FILE = f"{CONFIG_FOLDER}/secret"
MASTER_CONFIG_FILE = f"{CONFIG_FOLDER}/master.toml"
"""The master has a certificate of its own, and so a configuration, even where a worker runs beside it."""

TLS_FOLDERS: Mapping[CertificateRole, str] = {
    "master": f"{CONFIG_FOLDER}/master-tls",
    "worker": f"{CONFIG_FOLDER}/worker-tls",
}
NODE_FILE = f"{CONFIG_FOLDER}/node.env"
"""The environment of the units: which worker this host runs."""

MANAGED_FILE = f"{CONFIG_FOLDER}/managed.json"
"""What was made here outside of our own folders, so that it can be taken away again."""

HOME = "/var/lib/blfs-mr"
SCRATCH, OUTPUT = f"{HOME}/scratch", f"{HOME}/output"
VOLUMES = f"{HOME}/volumes"
FORMATTING_FILE = f"{HOME}/formatting"
"""Names the device that is being formatted: what a format that was cut short left there is ours."""

PROGRAM = "/opt/blfs-mr"
"""A link to the environment in use, which is a folder of PROGRAMS named by the bundle's digest."""

PROGRAMS = "/opt/blfs-mr.d"
BUNDLE_FILE = f"{PROGRAM}/bundle"
COMMAND = f"{PROGRAM}/bin/blfs-mr"

LOCK_FILE = "/run/blfs-mr-host.lock"
ATTACH_LOCK_FILE = "/run/blfs-mr-attach.lock"
INITIATOR_FILE = "/etc/iscsi/initiatorname.iscsi"
FOLDERS_WITH_SPACE = ("/var", "/opt")

DAEMON_USER = "blfs-mr"
TASK_USER = "blfs-mr-task"
VOLUME_GROUP = "blfs-mr-volumes"

MASTER_UNIT = "blfs-mr-master.service"
WORKER_UNIT = "blfs-mr-worker.service"
VOLUMES_UNIT = "blfs-mr-volumes.service"
TARGET_UNIT = "blfs-mr.target"
TASK_UNITS = "blfs-mr-tasks@*.service"
"""Whatever runs tasks: the worker has one started for itself, which ends when the worker does."""


def mount_point(worker: str) -> str:
    """Where the volume of ``worker`` is mounted, on its own host and on its peers."""
    return f"{VOLUMES}/{worker}"
