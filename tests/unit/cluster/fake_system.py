"""A host in memory: files, accounts, units, targets and iSCSI sessions, as steps see them."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from blfs_mr.cluster.host.system import Ran

RECORD = "# BEGIN RECORD 2.1.8\nnode.name = {target}\nnode.startup = manual\n# END RECORD\n"


class FakeTargets:
    """The kernel's target behind targetcli, as far as the commands of :mod:`blfs_mr.cluster.lio` go."""

    def __init__(self) -> None:
        self.backstores: list[dict[str, Any]] = []
        self.targets: list[dict[str, Any]] = []
        self.refused: Callable[[str], bool] = lambda line: False

    def dump(self) -> str:
        return json.dumps({"storage_objects": self.backstores, "targets": self.targets})

    def run(self, lines: Sequence[str]) -> str:
        """Carry out ``lines``; a refused one says so and is passed over, as targetcli does it."""
        said = ""
        for line in lines:
            if self.refused(line):
                said += f"cannot do {line}\n"
            elif line.startswith("/"):
                self._one(line)
        return said

    def _one(self, line: str) -> None:
        path, verb, *words = shlex.split(line)
        options = dict(word.split("=", 1) for word in words if "=" in word)
        if path == "/backstores/block":
            if verb == "create":
                new = {"plugin": "block", "name": options["name"], "dev": options["dev"]}
                self.backstores.append(new)
            else:
                self.backstores = [one for one in self.backstores if one["name"] != words[0]]
        elif path == "/iscsi":
            if verb == "create":
                group = {"tag": 1, "enable": False, "attributes": {}, "luns": [], "portals": []}
                group["node_acls"] = []
                self.targets.append({"wwn": words[0], "fabric": "iscsi", "tpgs": [group]})
            else:
                self.targets = [one for one in self.targets if one["wwn"] != words[0]]
        else:
            found = re.fullmatch(r"/iscsi/([^/]+)/tpg1(?:/(\w+))?(?:/([^/]+))?", path)
            assert found is not None, line
            (target,) = [one for one in self.targets if one["wwn"] == found[1]]
            self._in_group(target["tpgs"][0], found[2], found[3], verb, words, options)

    def _in_group(
        self,
        group: dict[str, Any],
        room: str | None,
        name: str | None,
        verb: str,
        words: list[str],
        options: dict[str, str],
    ) -> None:
        if room is None:
            if verb == "enable":
                group["enable"] = True
            else:
                group["attributes"] |= {key: int(value) for key, value in options.items()}
        elif room == "luns":
            group["luns"].append({"index": int(options["lun"]), "storage_object": words[0]})
        elif room == "portals":
            portal = {"ip_address": words[0], "port": int(words[1])}
            group["portals"] = [one for one in group["portals"] if one != portal]
            group["portals"] += [portal] if verb == "create" else []
        elif name is None:
            group["node_acls"] = [one for one in group["node_acls"] if one["node_wwn"] != words[0]]
            if verb == "create":
                group["node_acls"].append({"node_wwn": words[0], "mapped_luns": []})
        else:
            (acl,) = [one for one in group["node_acls"] if one["node_wwn"] == name]
            if verb == "set":
                acl |= {"chap_userid": options["userid"], "chap_password": options["password"]}
            elif verb == "delete":
                acl["mapped_luns"] = [one for one in acl["mapped_luns"] if one["index"] != int(words[0])]
            else:
                acl["mapped_luns"].append(
                    {
                        "index": int(options["mapped_lun"]),
                        "tpg_lun": int(options["tpg_lun_or_backstore"].removeprefix("lun")),
                        "write_protect": options["write_protect"] == "1",
                    }
                )


class FakeSystem:
    """What steps ask of a host. ``answers`` stand for programs whose state is of no account to a test."""

    def __init__(self, answers: dict[str, Ran] | None = None) -> None:
        self.answers = answers or {}
        self.files: dict[str, tuple[str, int, str, str]] = {}
        self.folders: dict[str, tuple[int, str, str]] = {}
        self.times: dict[str, float] = {}
        self.names: set[str] = set()
        self.enabled: set[str] = set()
        self.active: set[str] = set()
        self.sessions: list[tuple[str, str]] = []
        self.targets = FakeTargets()
        self.ran: list[str] = []

    # ------------------------------------------------------------ programs

    def run(self, argv: Sequence[str], given: str = "", home: str = "") -> Ran:
        line = " ".join(argv)
        self.ran.append(line)
        for beginning, answer in self.answers.items():
            if line.startswith(beginning):
                return answer
        handler = getattr(self, f"_{argv[0].replace('-', '_')}", None)
        return handler(list(argv[1:]), given) if handler else Ran(0, "")

    def _targetcli(self, arguments: list[str], given: str) -> Ran:
        said = self.targets.run(given.splitlines())
        for line in given.splitlines():
            if line.startswith("saveconfig /"):
                self.write(line.split()[1], self.targets.dump(), mode=0o600, user="root", group="root")
        return Ran(0, said)

    def _iscsiadm(self, arguments: list[str], given: str) -> Ran:
        if arguments == ["-m", "session"]:
            rows = [f"tcp: [{n}] {p} {t} (non-flash)\n" for n, (t, p) in enumerate(self.sessions, start=1)]
            return Ran(0 if rows else 21, "".join(rows))
        folder = "/etc/iscsi/nodes/"
        if arguments == ["-m", "node"]:
            found = sorted(path for path in self.files if path.startswith(folder))
            parts = [path.removeprefix(folder).split("/") for path in found]
            rows = [f"{part[1].replace(',', ':', 1)} {part[0]}\n" for part in parts]
            return Ran(0 if rows else 21, "".join(rows))
        target, portal = arguments[arguments.index("-T") + 1], arguments[arguments.index("-p") + 1]
        path = f"{folder}{target}/{portal.replace(':', ',')}/default"
        if "new" in arguments:
            self.write(path, RECORD.format(target=target), mode=0o600, user="root", group="root")
        elif "delete" in arguments:
            self.remove(path)
        elif "--login" in arguments:
            self.sessions.append((target, portal))
            address = portal.partition(",")[0]
            name = f"/dev/disk/by-path/ip-{address}-iscsi-{target}-lun-0"
            self.files[name] = ("", 0o660, "root", "disk")
        else:
            self.sessions.remove((target, portal))
        return Ran(0, "")

    def _groupadd(self, arguments: list[str], given: str) -> Ran:
        self.names.add(arguments[-1])
        return Ran(0, "")

    def _systemd_sysusers(self, arguments: list[str], given: str) -> Ran:
        self.names |= {"blfs-mr", "blfs-mr-task"}
        return Ran(0, "")

    def _groupdel(self, arguments: list[str], given: str) -> Ran:
        self.names.discard(arguments[0])
        return Ran(0, "")

    _userdel = _groupdel

    def _getent(self, arguments: list[str], given: str) -> Ran:
        return Ran(0 if arguments[1] in self.names else 2, "")

    def _id(self, arguments: list[str], given: str) -> Ran:
        return Ran(0 if arguments[0] in self.names else 1, "")

    def _systemctl(self, arguments: list[str], given: str) -> Ran:
        verb, units = arguments[0], [word for word in arguments[1:] if not word.startswith("-")]
        if verb == "is-enabled":
            states = ["enabled" if unit in self.enabled else "disabled" for unit in units]
            return Ran(0 if set(states) == {"enabled"} else 1, "\n".join(states) + "\n")
        if verb == "is-active":
            states = ["active" if unit in self.active else "inactive" for unit in units]
            return Ran(0 if "active" in states else 3, "\n".join(states) + "\n")
        if verb == "list-unit-files":
            return Ran(0, "".join(f"{unit} disabled\n" for unit in units if unit in self.enabled))
        if verb == "show":
            return Ran(0, f"@{int(self.times.get(units[0], 0))}\n")
        if verb == "enable":
            self.enabled |= set(units)
        elif verb == "start":
            self.active |= set(units)
        elif verb == "disable":
            self.enabled -= set(units)
            self.active -= set(units)
        return Ran(0, "")

    # ------------------------------------------------------------ files

    def read(self, path: str) -> str | None:
        return self.files[path][0] if path in self.files else None

    def write(self, path: str, text: str, *, mode: int, user: str, group: str) -> bool:
        changed = self.files.get(path) != (text, mode, user, group)
        self.files[path] = (text, mode, user, group)
        return changed

    def make_folder(self, path: str, *, mode: int, user: str, group: str) -> bool:
        changed = self.folders.get(path) != (mode, user, group)
        self.folders[path] = (mode, user, group)
        return changed

    def remove(self, path: str) -> bool:
        below = [name for name in self.files if name == path or name.startswith(f"{path}/")]
        for name in below:
            del self.files[name]
        return self.folders.pop(path, None) is not None or bool(below)

    def matches(self, pattern: str) -> list[str]:
        return sorted(fnmatch.filter(self.files, pattern))

    def modified(self, path: str) -> float:
        return self.times.get(path, 0.0)
