"""open-iscsi: its sessions, its records of targets, and the commands that change them. Pure.

A record is a file of lines ``name = value`` that iscsid reads at a login. Passwords are put into it directly,
because ``iscsiadm --op update`` takes them in its argv, which every user of the host can see.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from blfs_mr.cluster.plan import Login

_SESSION = re.compile(r"^\w+: \[\d+\] (\S+?):(\d+),-?\d+ (\S+)")
_RECORD = re.compile(r"^(\S+?):(\d+),-?\d+ (\S+)$")


def parse_sessions(text: str) -> set[tuple[str, str, int]]:
    """The sessions of ``iscsiadm -m session``: target, address and port of each."""
    found = (_SESSION.match(line) for line in text.splitlines())
    return {(match[3], match[1].strip("[]"), int(match[2])) for match in found if match}


def parse_records(text: str) -> set[tuple[str, str, int]]:
    """The records of ``iscsiadm -m node``: target, address and port of each."""
    found = (_RECORD.match(line.strip()) for line in text.splitlines())
    return {(match[3], match[1].strip("[]"), int(match[2])) for match in found if match}


def parse_record(text: str) -> dict[str, str]:
    """The settings of one record."""
    pairs = (line.partition(" = ") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


LOGIN_TRIES = 2
"""How often a login is tried, for 15 s each (``node.conn[0].timeo.login_timeout``).

A host that boots waits so long for targets that are down; those of peers are tried every minute afterwards.
"""


def record_settings(login: Login, replacement_timeout: float) -> dict[str, str]:
    """What a login's record must say. A login at each boot, and CHAP where there is a user."""
    settings = {
        "node.startup": "automatic",
        "node.conn[0].startup": "automatic",
        "node.session.initial_login_retry_max": str(LOGIN_TRIES),
        "node.session.timeo.replacement_timeout": str(round(replacement_timeout)),
        "node.session.auth.authmethod": "CHAP" if login.user else "None",
    }
    if login.user:
        settings["node.session.auth.username"] = login.user
        settings["node.session.auth.password"] = login.password
    return settings


def changed_record(text: str, settings: Mapping[str, str]) -> str:
    """The record ``text`` with ``settings``: lines that differ are replaced, missing ones added."""
    left = dict(settings)
    lines = []
    for line in text.splitlines():
        name = line.partition(" = ")[0].strip()
        if line.startswith("# END RECORD"):
            lines += [f"{name} = {value}" for name, value in left.items()]
            left = {}
        lines.append(f"{name} = {left.pop(name)}" if name in left else line)
    lines += [f"{name} = {value}" for name, value in left.items()]
    return "\n".join(lines) + "\n"


RECORD_FOLDERS = ("/etc/iscsi/nodes", "/var/lib/iscsi/nodes")
"""Where records may stand: it depends on version and distribution."""


def record_files(login: Login) -> tuple[str, ...]:
    """Patterns of the files in which the record of a login stands, one for each interface."""
    place = f"{login.target}/{login.address},{login.port},*/*"
    return tuple(f"{folder}/{place}" for folder in RECORD_FOLDERS)


def portal(login: Login) -> str:
    return f"{login.address}:{login.port},1"


def new_record_command(login: Login) -> list[str]:
    return ["iscsiadm", "-m", "node", "-o", "new", "-T", login.target, "-p", portal(login)]


def login_command(login: Login) -> list[str]:
    return ["iscsiadm", "-m", "node", "-T", login.target, "-p", portal(login), "--login"]


def logout_command(login: Login) -> list[str]:
    return ["iscsiadm", "-m", "node", "-T", login.target, "-p", portal(login), "--logout"]


def delete_record_command(login: Login) -> list[str]:
    return ["iscsiadm", "-m", "node", "-o", "delete", "-T", login.target, "-p", portal(login)]


SESSIONS_COMMAND = ("iscsiadm", "-m", "session")
RECORDS_COMMAND = ("iscsiadm", "-m", "node")

NOTHING_FOUND = 21
"""The exit code of iscsiadm(8) where there are no sessions or records (ISCSI_ERR_NO_OBJS_FOUND)."""
