"""The configuration: the models of ``config.toml``, and what daemons read of the environment.

A configuration is a frozen value that entry points load once and pass on. The models below are the whole
vocabulary: whatever else stands in a file is refused, and all that is wrong is told at once, since an
operator who mends one key per start loses patience. Each field's description says what is allowed there, and
is what an error quotes.

Sizes are ``"64MiB"`` and durations ``"5s"`` in the file, bytes and seconds in the models.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from blfs_mr.client_config import (
    DEFAULT_PORT,
    DEFAULT_SECRET,
    config_path,
    default_home,
    default_scratch,
    is_loopback,
    read_toml,
    user_home,
)
from blfs_mr.config_values import (
    NAME_PATTERN,
    AbsolutePath,
    DeviceTemplate,
    Duration,
    HomeTemplate,
    Section,
    Size,
    WorkerTemplate,
)
from blfs_mr.errors import ConfigError
from blfs_mr.inventory import ClusterSection, inventory_mistakes
from blfs_mr.worker_folders import ConfiguredPaths

_KIB = 1024
_MIB = 1024 * _KIB

# The spill format's unit of alignment; a shared file that is no multiple of it would have an end that no
# direct read can reach.
_PAGE = 4 * _KIB


_WORKER_PATH = 'an absolute path; "{home}" stands for home, "{name}" for the worker\'s name'


# ---------------------------------------------------------------- the models


class MasterSection(Section):
    """Where the master listens, and how long it waits for workers. Times are seconds."""

    host: str = Field(
        default="127.0.0.1",
        description='an IP address, or "localhost"; one that is not of this host alone only with tls.folder',
    )
    port: int = Field(
        default=DEFAULT_PORT, ge=0, le=65535, description="0 to 65535; 0 lets the system choose"
    )
    heartbeat_interval: Duration = Field(
        default=1.0, ge=0.01, le=3600, description='a duration from "10ms" to "1h", such as "1s"'
    )
    worker_timeout: Duration = Field(
        default=5.0,
        validate_default=True,
        le=86400,
        description='a duration of at least two heartbeat intervals, to "24h", such as "5s"',
    )
    no_worker_deadline: Duration = Field(
        default=30.0, ge=0, le=86400, description='a duration from "0s" to "24h", such as "30s"'
    )
    grace: Duration = Field(
        default=30.0, ge=0, le=86400, description='a duration from "0s" to "24h", such as "30s"'
    )
    manifests: HomeTemplate = Field(
        default="{home}/manifests", description='an absolute path; "{home}" stands for home'
    )

    @field_validator("host")
    @classmethod
    def _an_address(cls, host: str) -> str:
        if host == "localhost":
            return host
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError("it is no IP address") from None
        return host

    @property
    def is_loopback(self) -> bool:
        """Whether no other host can reach the master."""
        return is_loopback(self.host)

    @field_validator("worker_timeout")
    @classmethod
    def _outlasts_a_late_heartbeat(cls, timeout: float, info: ValidationInfo) -> float:
        # With less than two intervals, one heartbeat that comes late would count as a death.
        interval = info.data.get("heartbeat_interval")
        if interval is not None and timeout < 2 * interval:
            raise ValueError(f"two heartbeat intervals are {2 * interval:g}s")
        return timeout


class TlsSection(Section):
    """Credentials for links that leave the host."""

    folder: HomeTemplate | None = Field(
        default=None,
        description='an absolute path ("{home}" stands for home) of a folder with authority.pem, '
        "revoked.pem, certificate.pem and certificate.key; left out: no TLS",
    )


class PeerSection(Section):
    """The volume of another worker as this host sees it."""

    name: str = Field(pattern=NAME_PATTERN, description="the name of the worker that owns the volume")
    device: str = Field(pattern="^/", description="the block device of that volume on this host")
    mount: str = Field(default="", pattern="^(/.*)?$", description="where it is mounted; left out: it is raw")
    serial: str = Field(
        default="", description="the serial number that the device must have; left out: any will do"
    )


class WorkerSection(Section):
    """What a worker offers, and where its data stands. Sizes are bytes."""

    slots: int | None = Field(
        default=None, ge=1, le=4096, description="1 to 4096 tasks at once; left out: the number of cores"
    )
    layout: Literal["directory", "file", "raw"] = Field(
        default="directory", description='"directory", "file" or "raw"'
    )
    volume: WorkerTemplate = Field(default="{home}/volumes/{name}", description=_WORKER_PATH)
    device: DeviceTemplate | None = Field(
        default=None,
        validate_default=True,
        description='the path of the volume\'s block device for the layouts "file" and "raw", else left out; '
        '"{name}" stands for the worker\'s name',
    )
    # Not strict, for TOML has lists and a frozen configuration has tuples.
    peers: tuple[PeerSection, ...] = Field(
        default=(), strict=False, description="tables [[worker.peers]] with the keys name, device, mount"
    )
    scratch: WorkerTemplate = Field(default="{home}/scratch/{name}", description=_WORKER_PATH)
    output: WorkerTemplate = Field(default="{home}/output/{name}", description=_WORKER_PATH)
    input: WorkerTemplate = Field(default="{home}/input/{name}", description=_WORKER_PATH)
    shared_files: int = Field(default=64, ge=1, le=1_000_000, description="1 to 1000000")
    shared_file_size: Size = Field(
        default=16 * _MIB,
        ge=64 * _KIB,
        le=1024 * 1024 * _MIB,
        multiple_of=_PAGE,
        description='a size from "64KiB" to "1TiB" that is a multiple of 4KiB, such as "16MiB"',
    )
    read_deadline: Duration = Field(
        default=10.0,
        ge=0.1,
        le=3600,
        description='a duration from "100ms" to "1h", such as "10s"',
    )
    write_deadline: Duration = Field(
        default=120.0, ge=0.1, le=86400, description='a duration from "100ms" to "24h", such as "2m"'
    )
    peer_check_interval: Duration = Field(
        default=10.0, ge=0.1, le=86400, description='a duration from "100ms" to "24h", such as "10s"'
    )
    grace: Duration = Field(
        default=30.0, ge=0, le=86400, description='a duration from "0s" to "24h", such as "30s"'
    )
    task_user: str = Field(
        default="",
        pattern="^([a-z_][a-z0-9_-]{0,31})?$",
        description="the name of a user of this host that is not the worker's; \"\": the worker's own",
    )
    log_limit: Size = Field(
        default=_MIB, ge=_PAGE, le=1024 * _MIB, description='a size from "4KiB" to "1GiB", such as "1MiB"'
    )

    @field_validator("device")
    @classmethod
    def _only_where_there_is_one(cls, device: str | None, info: ValidationInfo) -> str | None:
        layout = info.data.get("layout")
        if layout == "directory" and device is not None:
            raise ValueError("a directory volume has no device of its own")
        if layout in ("file", "raw") and device is None:
            raise ValueError(f"the layout {layout} needs one")
        return device

    @property
    def slot_count(self) -> int:
        """The tasks that run at once: as configured, else one per core that this process may use."""
        return self.slots if self.slots is not None else len(os.sched_getaffinity(0))


class JobSection(Section):
    """What a job gets that does not ask for something else. Sizes are bytes."""

    max_attempts: int = Field(default=4, ge=1, le=100, description="1 to 100")
    memory: Size = Field(
        default=256 * _MIB,
        ge=32 * _MIB,
        le=1024 * 1024 * _MIB,
        description='a size from "32MiB" to "1TiB", such as "256MiB"',
    )
    # The upper bound is the spill format's: a reader must be able to hold the blocks of many runs at once.
    block_size: Size = Field(
        default=256 * _KIB,
        ge=_PAGE,
        le=4 * _MIB,
        description='a size from "4KiB" to "4MiB", such as "256KiB"',
    )


class EmbeddedSection(Section):
    """The cluster that a submission starts for itself where it is not given one."""

    workers: int = Field(default=2, ge=1, le=64, description="1 to 64")
    scratch: AbsolutePath = Field(description="an absolute path; left out: $TMPDIR, else /tmp")


class LoggingSection(Section):
    """What daemons log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description='"DEBUG", "INFO", "WARNING" or "ERROR"'
    )


class Config(ConfiguredPaths, Section):
    """A whole configuration. :func:`load_config` knows the defaults of ``home`` and ``embedded.scratch``."""

    home: AbsolutePath = Field(description='an absolute path, or one that begins with "~/"')
    secret_file: HomeTemplate = Field(
        default=DEFAULT_SECRET, description='an absolute path; "{home}" stands for home'
    )
    cluster: ClusterSection = ClusterSection()
    tls: TlsSection = TlsSection()
    master: MasterSection = MasterSection()
    worker: WorkerSection = WorkerSection()
    job: JobSection = JobSection()
    embedded: EmbeddedSection
    logging: LoggingSection = LoggingSection()

    @field_validator("master")
    @classmethod
    def _encrypted_off_loopback(cls, master: MasterSection, info: ValidationInfo) -> MasterSection:
        tls = info.data.get("tls")
        if not master.is_loopback and tls is not None and tls.folder is None:
            raise ValueError(
                f"other hosts reach {master.host}, and links are encrypted only with tls.folder: set that too"
            )
        return master

    @property
    def tls_folder(self) -> Path | None:
        """The folder of credentials for TLS, None without TLS."""
        folder = self.tls.folder
        return None if folder is None else Path(folder.replace("{home}", str(self.home)))


# ---------------------------------------------------------------- loading


def load_config(path: Path | None, environment: Mapping[str, str]) -> Config:
    """The configuration in the file at ``path``, else in ``BLFS_MR_CONFIG``'s, else the built-in one.

    A file need name only what differs from the defaults. Raises ConfigError with every problem, one a line.
    """
    path = config_path(path, environment)
    given = {} if path is None else read_toml(path)
    source = "the environment" if path is None else str(path)
    problems = inventory_mistakes(given.get("cluster"))
    try:
        config = Config.model_validate(
            _with_computed_defaults(given, environment), context={"HOME": user_home(environment)}
        )
        if not problems:
            return config
    except ValidationError as error:
        problems += [_explain(problem, given) for problem in error.errors()]
    raise ConfigError("\n".join(f"{source}: {problem}" for problem in problems))


def _with_computed_defaults(given: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    completed = {"home": default_home(environment)} | given
    embedded = given.get("embedded", {})
    if isinstance(embedded, dict):
        completed["embedded"] = {"scratch": default_scratch(environment)} | embedded
    return completed


# ---------------------------------------------------------------- telling what is wrong


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every dotted key with what is allowed there, sections included."""
    for name, field in model.model_fields.items():
        said = field.description or ""
        # A section itself, one that may be left out, or a list of them.
        for section in (field.annotation, *get_args(field.annotation)):
            if isinstance(section, type) and issubclass(section, Section):
                said = said or f"a table with the keys {', '.join(section.model_fields)}"
                yield from _fields(section, f"{prefix}{name}.")
        yield prefix + name, said


def _explain(problem: ErrorDetails, file: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    known = dict(_fields(Config))
    # Tables of a list are numbered in a key, and all alike in what is allowed.
    model = ".".join(part for part in problem["loc"] if isinstance(part, str))
    # Taken from the file, since pydantic shows a size that is out of range as the number it was turned into.
    given: Any = file
    try:
        for part in problem["loc"]:
            given = given[part]
        shown = _shortened(given)
    except (KeyError, IndexError, TypeError):
        shown = f"{problem['input']} (the default)"
    if problem["type"] == "extra_forbidden":
        return f"{key} = {shown}: unknown key{_suggestion(model, list(known))}"
    # pydantic's own words speak of its types, not of the file; a validator's of this project are kept.
    reason = f": {problem['ctx']['error']}" if problem["type"] == "value_error" else ""
    return f"{key} = {shown}{reason}; allowed: {known[model]}"


def _suggestion(key: str, known: list[str]) -> str:
    section, _, name = key.rpartition(".")
    beside = [other for other in known if other.rpartition(".")[0] == section]
    names = {other.rpartition(".")[2]: other for other in [*known, *beside]}
    matches = difflib.get_close_matches(name, [other.rpartition(".")[2] for other in beside], n=1)
    matches = matches or difflib.get_close_matches(name, list(names), n=1)
    place = f"in [{section}]" if section else "at the top"
    keys = ", ".join(other.rpartition(".")[2] for other in beside)
    hint = f"; did you mean {names[matches[0]]}?" if matches else ""
    return f"{hint}; allowed {place}: {keys}"


def _shortened(given: Any) -> str:
    text = f'"{given}"' if isinstance(given, str) else repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."
