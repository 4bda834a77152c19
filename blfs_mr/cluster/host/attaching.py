"""Attaches the volumes that a host's configuration names, and detaches them: what the unit of volumes runs.

The own volume is needed and a failure with it is an error; a peer's is not, since a worker does without what
it cannot read, and a cluster in which one host is down must still start on the others.
"""

from __future__ import annotations

import grp
import os
import re
import time
from collections.abc import Callable, Sequence

from blfs_mr.cluster.host.system import LocalSystem
from blfs_mr.cluster.places import VOLUME_GROUP
from blfs_mr.config import Config, PeerSection
from blfs_mr.errors import BlfsMrError, VolumeError
from blfs_mr.model import VolumeLayout
from blfs_mr.volume.attach import AttachRole, attach, detach
from blfs_mr.volume.devices import is_device_read_only

OWN_DEADLINE = 120.0
"""Seconds that the own device may take to appear at boot: a login over a network that is just coming up."""

PEER_DEADLINE = 15.0
"""Seconds for the peers' devices together: they are not worth a long wait."""

_ISCSI_DEVICE = re.compile(r"/dev/disk/by-path/ip-(?P<portal>.+:\d+)-iscsi-(?P<target>.+)-lun-\d+")
"""The path of a device that has come by a login of ours, as udev makes it."""


def attach_all(config: Config, name: str, tell: Callable[[str], None]) -> None:
    """Attach the volume of the worker ``name`` and those of its peers; ``tell`` hears what was done.

    Raises VolumeError or OSError where the own one cannot be attached.
    """
    folders = config.worker_folders(name)
    file_layout = config.worker.layout == VolumeLayout.FILE.value
    _begin_login(folders.device)
    _wait_for(folders.device, time.monotonic() + OWN_DEADLINE)
    tell(attach(folders.device, str(folders.volume) if file_layout else "", AttachRole.OWNER))
    give_to_group(folders.device, writable=True)
    _attach_peers(_peers(config, name), tell)


def attach_missing(config: Config, name: str, tell: Callable[[str], None]) -> None:
    """Attach the peers' volumes that are not attached yet: their targets may have come up since.

    Those that are attached are not touched, since whoever reads a disk that does not answer waits for it.
    """
    _attach_peers([peer for peer in _peers(config, name) if not _is_attached(peer)], tell)


def _peers(config: Config, name: str) -> list[PeerSection]:
    # One list for all hosts may name this one's own, too.
    return [peer for peer in config.worker.peers if peer.name != name]


def _attach_peers(peers: Sequence[PeerSection], tell: Callable[[str], None]) -> None:
    for peer in peers:
        _begin_login(peer.device)
    deadline = time.monotonic() + PEER_DEADLINE
    for peer in peers:
        try:
            _wait_for(peer.device, deadline)
            _check_protection(peer.device)
            tell(attach(peer.device, peer.mount, AttachRole.PEER))
            give_to_group(peer.device, writable=False)
        except (BlfsMrError, OSError) as error:
            tell(f"the volume of {peer.name} is left out: {error}")


def _is_attached(peer: PeerSection) -> bool:
    """Whether all was done, of which the group is the last; a device that has come anew is udev's again."""
    try:
        ours = os.stat(peer.device).st_gid == grp.getgrnam(VOLUME_GROUP).gr_gid
    except (OSError, KeyError):
        return False
    return ours and (not peer.mount or os.path.ismount(peer.mount))


def detach_all(config: Config, name: str, tell: Callable[[str], None]) -> None:
    """Detach the peers' volumes and then the own one. Raises VolumeError where one is in use."""
    folders = config.worker_folders(name)
    file_layout = config.worker.layout == VolumeLayout.FILE.value
    places = [(peer.device, peer.mount) for peer in config.worker.peers]
    for device, mount in (*places, (folders.device, str(folders.volume) if file_layout else "")):
        # A device that is gone cannot be told from another one that is mounted there; nothing can use it.
        if mount and (os.path.exists(device) or os.path.ismount(mount)):
            tell(detach(device, mount))


def is_iscsi(device: str) -> bool:
    """Whether ``device`` has come by a login of ours."""
    return _ISCSI_DEVICE.fullmatch(device) is not None


def give_to_group(device: str, *, writable: bool) -> None:
    """Let the volumes' group open ``device``. Raises OSError, VolumeError where there is no such group."""
    try:
        group = grp.getgrnam(VOLUME_GROUP).gr_gid
    except KeyError as error:
        raise VolumeError(f"there is no group {VOLUME_GROUP} here: `blfs-mr cluster init`") from error
    os.chown(device, -1, group)
    os.chmod(device, 0o660 if writable else 0o440)


def _check_protection(device: str) -> None:
    # Asked before this host protects itself, which would hide it. A SAN that is given may have other means.
    if is_iscsi(device) and not is_device_read_only(device):
        raise VolumeError(
            f"{device} can be written from here: its target does not write-protect it for this host; "
            "`blfs-mr cluster init` puts that right"
        )


def _begin_login(device: str) -> None:
    """Have the initiator log in to the target of ``device``, which at boot may not have been up.

    Not waited for: with a target that is still down it takes the initiator half a minute to give up.
    """
    found = _ISCSI_DEVICE.fullmatch(device)
    if found and not os.path.exists(device):
        portal = f"{found['portal']},1"
        command = ["iscsiadm", "-m", "node", "-T", found["target"], "-p", portal, "--login", "--no_wait"]
        # Why it fails is told by what is missing afterwards.
        LocalSystem().run(command)


def _wait_for(device: str, deadline: float) -> None:
    while not os.path.exists(device):
        if time.monotonic() > deadline:
            raise VolumeError(
                f"{device} is missing: is this host logged in to its target (`iscsiadm -m session -P 3`), is "
                "the target up?"
            )
        time.sleep(0.2)
