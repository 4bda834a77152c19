"""What a user asks a submission for: the command line as a value."""

from __future__ import annotations

from pathlib import Path

from blfs_mr.values import dataclass


@dataclass(frozen=True, slots=True)
class Submission:
    """The options of one submission; None stands for what was not given. Sizes are text, as ``64MiB``."""

    job: Path
    inputs: tuple[str, ...]
    output: str | None
    master: str | None
    config: Path | None
    params: dict[str, str]
    job_class: str | None
    reducers: int | None
    memory: str | None
    split_size: str | None
    compression: str | None
    draining: bool
    files: tuple[str, ...]
    py_modules: tuple[Path, ...]
    workers: int | None
    slots: int | None
    quiet: bool
