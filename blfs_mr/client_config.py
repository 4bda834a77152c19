"""What a submitter has to know of the configuration: which cluster, where its master is, how to prove itself.

A few values of ``config.toml``, read without the models of ``blfs_mr.config``, with which daemons check the
whole file: loading those would take longer than all else that a submission does before its job runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blfs_mr.errors import ConfigError
from blfs_mr.values import dataclass

CONFIG_VARIABLE = "BLFS_MR_CONFIG"
"""The environment variable that names the configuration where no option does."""

SUBMITTER_FOLDER = "{{home}}/cluster/{cluster}/submitter"
"""Where `blfs-mr cluster init` puts what its operator submits jobs with."""

DEFAULT_CLUSTER = "blfs-mr"
DEFAULT_PORT = 7070
DEFAULT_SECRET = "{home}/secret"


# Not by the module ipaddress, which takes long to import.
_LOOPBACK = re.compile(r"127(\.[0-9]{1,3}){3}")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How a submitter proves itself to a master."""

    cluster: str
    secret_path: Path
    master: str
    """``HOST:PORT`` of the master; empty where the file names no other host's."""

    tls_folder: Path | None
    """The credentials for TLS; None without TLS."""


def load_client_config(path: Path | None, environment: Mapping[str, str]) -> ClientConfig:
    """From the file at ``path``, else the one that ``BLFS_MR_CONFIG`` names, else the defaults.

    Raises ConfigError for a file that cannot be read, and for these values if they are of no use.
    """
    path = config_path(path, environment)
    given = {} if path is None else read_toml(path)
    home = given.get("home", default_home(environment))
    cluster = _value(given, "cluster", "id", DEFAULT_CLUSTER)
    inventory = _inventory_master(given.get("cluster"))
    folder = _value(given, "tls", "folder", SUBMITTER_FOLDER.format(cluster=cluster) if inventory else "")
    secret = given.get("secret_file", DEFAULT_SECRET)
    for key, value in (
        ("home", home),
        ("cluster.id", cluster),
        ("tls.folder", folder),
        ("secret_file", secret),
    ):
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {key} = {value!r}; allowed: text")

    def place(template: str) -> Path:
        expanded = template.replace("{home}", home)
        return Path(user_home(environment) + expanded[1:] if expanded.startswith("~/") else expanded)

    host = str(_value(given, "master", "host", inventory or "127.0.0.1"))
    # A master on this host is asked for by --master: without it, a submission runs a cluster of its own.
    port = _value(given, "master", "port", DEFAULT_PORT)
    return ClientConfig(
        str(cluster),
        place(secret),
        "" if is_loopback(host) else f"{host}:{port}",
        place(folder) if folder else None,
    )


def is_loopback(host: str) -> bool:
    """Whether no other host can reach what listens at ``host``, an address or "localhost".

    Addresses in an unusual form count as if they could be reached, which is the safe side.
    """
    return host in ("localhost", "::1") or bool(_LOOPBACK.fullmatch(host))


def parse_address(text: str) -> tuple[str, int]:
    """The host and port of ``HOST:PORT``; an IPv6 host may stand in brackets. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ConfigError(f"{text!r} is no address: give HOST:PORT with a port from 1 to 65535")
    return host, int(port)


def config_path(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The configuration file to use: ``path``, else what the environment names, else none."""
    if path is None and environment.get(CONFIG_VARIABLE):
        return Path(environment[CONFIG_VARIABLE])
    return path


def _inventory_master(section: object) -> str:
    """The address of the master's host in an inventory (:mod:`blfs_mr.inventory`); empty for none."""
    if not isinstance(section, dict) or not isinstance(section.get("workers"), list):
        return ""
    hosts = [entry for entry in section["workers"] if isinstance(entry, dict)]
    named = [entry for entry in hosts if entry.get("name") == section.get("master")]
    own = section.get("master_host")
    chosen = [own] if isinstance(own, dict) else [*named, *hosts]
    return str(chosen[0].get("address", "")) if chosen else ""


def _value(given: Mapping[str, Any], section: str, key: str, default: object) -> Any:
    table = given.get(section, {})
    return table.get(key, default) if isinstance(table, dict) else None


def default_home(environment: Mapping[str, str]) -> str:
    """Where a cluster keeps its state unless it is told otherwise."""
    # The base directory specification says to ignore relative paths in its variables.
    state = environment.get("XDG_STATE_HOME", "")
    return f"{state if state.startswith('/') else '~/.local/state'}/blfs-mr"


def default_scratch(environment: Mapping[str, str]) -> str:
    """Where an embedded cluster makes its folder unless it is told otherwise."""
    # A relative TMPDIR is ignored, as relative paths in the base directories' variables are.
    scratch = environment.get("TMPDIR", "")
    return scratch if scratch.startswith("/") else "/tmp"


def user_home(environment: Mapping[str, str]) -> str:
    """What ``~`` stands for."""
    return environment.get("HOME") or os.path.expanduser("~")


def read_toml(path: Path) -> dict[str, Any]:
    """The file at ``path``. Raises ConfigError when it cannot be read or is no TOML."""
    import tomllib  # A submission without a configuration file does not pay for it.

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
