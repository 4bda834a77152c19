"""The values of ``config.toml``: sizes, durations, paths and names as a file has them, for all its models."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from blfs_mr.units import parse_duration, parse_size
from blfs_mr.worker_folders import NAME as NAME

NAME_PATTERN = f"^{NAME.pattern}$"


class Section(BaseModel):
    """A table of the file: what it does not know, it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _absolute(given: Any, info: ValidationInfo) -> Path:
    """An absolute path; ``~`` is the home folder of the environment that the configuration is loaded in."""
    if not isinstance(given, str):
        raise ValueError("it must be a string")
    if given == "~" or given.startswith("~/"):
        home = info.context["HOME"] if info.context else os.path.expanduser("~")
        given = home + given[1:]
    if not given.startswith("/"):
        raise ValueError("a relative path would depend on where a daemon is started")
    return Path(given)


def _template(*placeholders: str) -> BeforeValidator:
    """A validator for an absolute path with the given ``placeholders``, kept as text until they are known."""

    def convert(given: Any, info: ValidationInfo) -> str:
        if not isinstance(given, str):
            raise ValueError("it must be a string")
        for found in re.findall(r"\{[^}]*\}?|\}", given):
            if found not in placeholders:
                raise ValueError(f"{found} is no placeholder here")
        if given.startswith("{home}"):
            return given
        return str(_absolute(given, info))

    return BeforeValidator(convert)


Size = Annotated[int, BeforeValidator(parse_size)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
HomeTemplate = Annotated[str, _template("{home}")]
WorkerTemplate = Annotated[str, _template("{home}", "{name}")]
DeviceTemplate = Annotated[str, _template("{name}")]
