"""The kernel's iSCSI target: what is configured, what is to be, and targetcli's commands in between. Pure.

What is configured is read from what ``targetcli saveconfig FILE`` writes, JSON as rtslib-fb's
``RTSRoot.dump`` has it. Commands go to targetcli's standard input, because passwords are among them. Since
targetcli does not fail where one of them does, what came of them is compared again.

Only *block* backstores are made: a *fileio* one serves the page cache of its own host, and peers would read
stale data although all of the contract was kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from blfs_mr.cluster.plan import Access, Export
from blfs_mr.errors import ClusterError

SETTINGS = (
    "set global auto_add_mapped_luns=false auto_add_default_portal=false auto_cd_after_create=false "
    "auto_save_on_exit=false logfile=/dev/null"
)
"""Nothing is added that we did not ask for, and passwords are not logged."""

_ATTRIBUTES = {
    # An initiator without an ACL of its own gets nothing, and one with an ACL what stands there.
    "generate_node_acls": 0,
    "demo_mode_write_protect": 1,
    "cache_dynamic_acls": 0,
    # It is not even told that there is a target.
    "demo_mode_discovery": 0,
}


@dataclass(frozen=True, slots=True)
class Backstore:
    """A storage object: ``plugin`` is block, fileio …"""

    plugin: str
    name: str
    device: str


@dataclass(frozen=True, slots=True)
class MappedLun:
    """What an initiator sees under a number of its own."""

    lun: int
    protected: bool


@dataclass(frozen=True, slots=True)
class NodeAccess:
    """One initiator's ACL."""

    luns: Mapping[int, MappedLun]
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A target's first portal group. ``luns`` are backstores by number, as ``plugin/name``."""

    luns: Mapping[int, str]
    access: Mapping[str, NodeAccess]
    portals: frozenset[tuple[str, int]]
    attributes: Mapping[str, int]
    enabled: bool


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of the kernel's targets."""

    backstores: tuple[Backstore, ...] = ()
    targets: Mapping[str, Target] = field(default_factory=dict)


def parse_configuration(text: str) -> Configuration:
    """What ``targetcli saveconfig`` wrote. Raises ClusterError where that is something else."""
    try:
        saved = json.loads(text)
        return Configuration(
            tuple(
                Backstore(entry["plugin"], entry["name"], entry.get("dev") or "")
                for entry in saved.get("storage_objects", ())
            ),
            {
                target["wwn"]: _parse_target(target)
                for target in saved.get("targets", ())
                if target.get("fabric") == "iscsi"
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ClusterError(f"what targetcli saved is not understood: {error!r}") from error


def _parse_target(target: Mapping[str, Any]) -> Target:
    # The commands below make one portal group; others of the same target are not ours.
    groups: list[dict[str, Any]] = [group for group in target["tpgs"] if group["tag"] == 1]
    group = groups[0] if groups else {}
    return Target(
        luns={
            int(lun["index"]): lun["storage_object"].removeprefix("/backstores/")
            for lun in group.get("luns", ())
        },
        access={
            acl["node_wwn"]: NodeAccess(
                {
                    int(lun["index"]): MappedLun(int(lun["tpg_lun"]), bool(lun["write_protect"]))
                    for lun in acl.get("mapped_luns", ())
                },
                acl.get("chap_userid") or "",
                acl.get("chap_password") or "",
            )
            for acl in group.get("node_acls", ())
        },
        portals=frozenset((portal["ip_address"], int(portal["port"])) for portal in group.get("portals", ())),
        attributes={
            key: int(value)
            for key, value in group.get("attributes", {}).items()
            if key in {*_ATTRIBUTES, "authentication"}
        },
        enabled=bool(group.get("enable", False)),
    )


def conflicts(
    export: Export, present: Configuration, resolve: Callable[[str], str] = lambda path: path
) -> list[str]:
    """What stands in the way and is not ours to change; ``resolve`` makes paths of one device the same."""
    found = []
    for backstore in present.backstores:
        named = backstore.plugin == "block" and backstore.name == export.backstore
        if resolve(backstore.device) != resolve(export.device):
            if named:
                found.append(
                    f"the backstore {export.backstore} serves {backstore.device}, not {export.device}: tear "
                    "the cluster down before a volume moves to another device"
                )
        elif backstore.plugin != "block":
            found.append(
                f"{export.device} is served by the {backstore.plugin} backstore {backstore.name}, whose "
                f"peers read stale data: delete it (`targetcli /backstores/{backstore.plugin} delete "
                f"{backstore.name}`)"
            )
        elif not named:
            found.append(
                f"{export.device} is served by the backstore {backstore.name} of somebody else already: name "
                "another device, or delete that one"
            )
    ours = f"block/{export.backstore}"
    for name, target in present.targets.items():
        if name == export.target:
            others = sorted(lun for lun in target.luns.values() if lun != ours)
            if others:
                found.append(
                    f"the target {name} exists and serves {', '.join(others)}: it is somebody else's; choose "
                    "another cluster.iscsi.target"
                )
        elif ours in target.luns.values():
            found.append(
                f"the backstore {export.backstore} is served by the target {name} as well: delete that one, "
                "it may let peers write"
            )
    return found


def commands_for(export: Export, present: Configuration) -> list[str]:
    """What brings the target from what is ``present`` to ``export``; nothing where that is so already."""
    return list(_commands(export, present))


def _commands(export: Export, present: Configuration) -> Iterator[str]:
    ours = f"block/{export.backstore}"
    if not any(one.plugin == "block" and one.name == export.backstore for one in present.backstores):
        yield f"/backstores/block create name={export.backstore} dev={export.device}"
    target = present.targets.get(export.target)
    if target is None:
        yield f"/iscsi create {export.target}"
        target = Target({}, {}, frozenset(), {}, False)
    group = f"/iscsi/{export.target}/tpg1"
    wanted = {**_ATTRIBUTES, "authentication": int(any(access.user for access in export.access))}
    changed = {key: value for key, value in wanted.items() if target.attributes.get(key) != value}
    if changed:
        yield f"{group} set attribute {' '.join(f'{key}={value}' for key, value in changed.items())}"
    if 0 not in target.luns:
        yield f"{group}/luns create /backstores/{ours} lun=0 add_mapped_luns=false"
    portal = (export.address, export.port)
    for address, port in sorted(target.portals - {portal}):
        yield f"{group}/portals delete {address} {port}"
    if portal not in target.portals:
        yield f"{group}/portals create {export.address} {export.port}"
    for initiator in sorted(set(target.access) - {access.initiator for access in export.access}):
        yield f"{group}/acls delete {initiator}"
    for access in export.access:
        yield from _access_commands(group, access, target.access.get(access.initiator))
    if not target.enabled:
        yield f"{group} enable"


def _access_commands(group: str, access: Access, present: NodeAccess | None) -> Iterator[str]:
    node = f"{group}/acls/{access.initiator}"
    if present is None:
        yield f"{group}/acls create {access.initiator} add_mapped_luns=false"
        present = NodeAccess({}, "", "")
    wanted = MappedLun(0, protected=not access.writes)
    for number, mapped in sorted(present.luns.items()):
        if number != 0 or mapped != wanted:
            yield f"{node} delete {number}"
    if present.luns.get(0) != wanted:
        # Protected from the moment on at which it can be seen.
        yield f"{node} create mapped_lun=0 tpg_lun_or_backstore=lun0 write_protect={int(wanted.protected)}"
    if access.user and (present.user, present.password) != (access.user, access.password):
        yield f"{node} set auth userid={access.user} password={access.password}"


def removal_commands(export: Export, present: Configuration) -> list[str]:
    """What takes the target and its backstore away again."""
    commands = []
    if export.target in present.targets:
        commands.append(f"/iscsi delete {export.target}")
    if any(one.plugin == "block" and one.name == export.backstore for one in present.backstores):
        commands.append(f"/backstores/block delete {export.backstore}")
    return commands


def shown(command: str) -> str:
    """``command`` as it may be printed: without the password in it."""
    before, password, _ = command.partition(" password=")
    return f"{before}{password}…" if password else command
