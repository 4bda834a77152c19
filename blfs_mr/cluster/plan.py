"""What one host is to become: the value that ``blfs-mr host`` gets on standard input, as JSON.

It holds secrets (CHAP passwords, keys in files), so it is never written to a log or a command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import Field

from blfs_mr.config_values import Section


class Roles(Protocol):
    """What runs on a host."""

    @property
    def runs_master(self) -> bool: ...

    @property
    def runs_worker(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class HostRoles:
    """The roles of a host that needs no plan."""

    runs_master: bool
    runs_worker: bool


class Access(Section):
    """One initiator at a target. The empty ``user`` stands for no CHAP."""

    initiator: str
    writes: bool
    user: str = ""
    password: str = Field(default="", repr=False)


class Export(Section):
    """A target that serves ``device`` to its own host and, write-protected, to the peers."""

    target: str
    address: str
    port: int
    backstore: str
    device: str
    access: tuple[Access, ...] = Field(strict=False)


class Login(Section):
    """A target to be logged in to, with what proves us there."""

    worker: str
    target: str
    address: str
    port: int
    user: str = ""
    password: str = Field(default="", repr=False)

    @property
    def device(self) -> str:
        """The path of the first LUN after the login, as udev names it."""
        return f"/dev/disk/by-path/ip-{self.address}:{self.port}-iscsi-{self.target}-lun-0"


class OwnVolume(Section):
    """The volume of this host. ``shared_files`` has lines ``name:size``; ``mount`` is empty for raw."""

    device: str
    mount: str
    layout: Literal["file", "raw"]
    file_system: Literal["ext4", "xfs"]
    shared_files: str


class PeerVolume(Section):
    """A volume of another worker as this host sees it."""

    worker: str
    device: str
    mount: str


class HostFile(Section):
    """A file in our own folders. ``mode`` is octal digits."""

    path: str
    text: str = Field(repr=False)
    mode: str
    user: str = "root"
    group: str = "root"


class HostPlan(Section):
    """All of one host."""

    cluster: str
    name: str
    runs_master: bool
    runs_worker: bool
    volume_gid: int
    replacement_timeout: float
    modules: tuple[str, ...] = Field(default=(), strict=False)
    files: tuple[HostFile, ...] = Field(default=(), strict=False)
    units: tuple[HostFile, ...] = Field(default=(), strict=False)
    export: Export | None = None
    logins: tuple[Login, ...] = Field(default=(), strict=False)
    own: OwnVolume | None = None
    peers: tuple[PeerVolume, ...] = Field(default=(), strict=False)

    @property
    def own_logins(self) -> tuple[Login, ...]:
        """The login to the own target: only through it may the owner use its device."""
        return tuple(login for login in self.logins if login.worker == self.name)
