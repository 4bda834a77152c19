"""The built-in configuration as plain values, for the processes of an embedded cluster.

``blfs_mr.config`` checks what a file says, with models that take longer to import than a small job takes to
run. Where there is no file there is nothing to check. The values here are the defaults of those models, under
the same names and of the same types, as far as daemons look at them; a test holds the two together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from blfs_mr.client_config import (
    DEFAULT_CLUSTER,
    DEFAULT_PORT,
    DEFAULT_SECRET,
    default_home,
    default_scratch,
    user_home,
)
from blfs_mr.worker_folders import ConfiguredPaths

if TYPE_CHECKING:
    from blfs_mr.config import Config

_MIB = 1 << 20


class _Section:
    """What the models offer beside their fields."""

    model_fields_set: ClassVar[frozenset[str]] = frozenset()
    """No file has set any."""

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        return replace(self, **update)  # type: ignore[type-var]


@dataclass(frozen=True)
class Cluster(_Section):
    id: str = DEFAULT_CLUSTER


@dataclass(frozen=True)
class Tls(_Section):
    folder: str | None = None


@dataclass(frozen=True)
class Master(_Section):
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    heartbeat_interval: float = 1.0
    worker_timeout: float = 5.0
    no_worker_deadline: float = 30.0
    manifests: str = "{home}/manifests"
    grace: float = 30.0


@dataclass(frozen=True)
class Worker(_Section):
    slots: int | None = None
    layout: str = "directory"
    volume: str = "{home}/volumes/{name}"
    device: str | None = None
    peers: tuple[object, ...] = ()
    scratch: str = "{home}/scratch/{name}"
    output: str = "{home}/output/{name}"
    input: str = "{home}/input/{name}"
    shared_files: int = 64
    shared_file_size: int = 16 * _MIB
    read_deadline: float = 10.0
    write_deadline: float = 120.0
    peer_check_interval: float = 10.0
    task_user: str = ""
    grace: float = 30.0
    log_limit: int = _MIB

    @property
    def slot_count(self) -> int:
        return self.slots if self.slots is not None else len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Job(_Section):
    max_attempts: int = 4
    memory: int = 256 * _MIB
    block_size: int = 256 * 1024


@dataclass(frozen=True)
class Embedded(_Section):
    scratch: Path
    workers: int = 2


@dataclass(frozen=True)
class Logging(_Section):
    level: str = "INFO"


@dataclass(frozen=True)
class BuiltIn(ConfiguredPaths, _Section):
    """A whole configuration."""

    home: Path
    embedded: Embedded
    secret_file: str = DEFAULT_SECRET
    cluster: Cluster = field(default_factory=Cluster)
    tls: Tls = field(default_factory=Tls)
    master: Master = field(default_factory=Master)
    worker: Worker = field(default_factory=Worker)
    job: Job = field(default_factory=Job)
    logging: Logging = field(default_factory=Logging)

    @property
    def tls_folder(self) -> None:
        return None


def built_in_config(environment: Mapping[str, str]) -> Config:
    """The configuration where no file says otherwise. Wherever a daemon looks, it is one."""
    home = default_home(environment).replace("~", user_home(environment), 1)
    return cast("Config", BuiltIn(Path(home), Embedded(Path(default_scratch(environment)))))
