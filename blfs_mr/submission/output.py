"""Where a job's result goes: a new folder, standard output, or a name that the workers keep."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from blfs_mr.console import write_out
from blfs_mr.errors import OutputError
from blfs_mr.formats.meta import MetaEntry, write_meta
from blfs_mr.model import UNCOMMITTED, OutputPart

SUCCESS = "_SUCCESS"
META = ".meta"


class FolderOutput:
    """``-o OUT`` on the workers' own host: ``part-…``, ``_SUCCESS`` and ``.meta`` in a folder made here."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._made = False

    @property
    def place(self) -> str:
        """What the job's settings say."""
        return str(self._folder)

    @property
    def described(self) -> str:
        """The end of the summary's line about the output."""
        return f" in {self._folder}"

    def make(self) -> None:
        """Make the folder. Raises OutputError when it is there already or cannot be made."""
        try:
            os.makedirs(self._folder)
        except OSError as error:
            if os.path.lexists(self._folder):
                raise OutputError(
                    f"the output {self._folder} exists already: remove it, or name another"
                ) from None
            raise OutputError(f"the output {self._folder} cannot be made: {error.strerror}") from error
        self._made = True

    def complete(self, parts: tuple[OutputPart, ...]) -> None:
        """The job is done: say so beside the parts. ``_SUCCESS`` comes last."""
        # What a worker that died left there; all others have removed their own.
        shutil.rmtree(self._folder / UNCOMMITTED, ignore_errors=True)
        _write_meta(self._folder / META, parts)
        (self._folder / SUCCESS).touch()

    def discard(self) -> None:
        """The job has no result: leave nothing behind."""
        if self._made:
            shutil.rmtree(self._folder, ignore_errors=True)


class StandardOutput(FolderOutput):
    """No ``-o``: the parts, one after the other, on standard output."""

    described = " to standard output"

    def __init__(self) -> None:
        super().__init__(Path(tempfile.gettempdir()) / f"blfs-mr-output-{os.getpid()}")

    def complete(self, parts: tuple[OutputPart, ...]) -> None:
        """Print the parts in their order, and remove them."""
        try:
            for part in parts:
                with open(part.path, "rb") as file:
                    while chunk := file.read(1 << 20):
                        write_out(chunk)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Whoever read our output has seen enough, as ``| head`` does. Nothing is left to flush at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            self.discard()


class NamedOutput:
    """``-o NAME`` on a cluster of other hosts: parts stay on their workers, ``NAME.meta`` here lists them."""

    is_local = False

    def __init__(self, name: str) -> None:
        if not name or name in (".", "..") or "/" in name:
            raise OutputError(
                f"{name!r} cannot name an output on other hosts: give a plain name without a slash"
            )
        self.place = name
        self._meta = Path(f"{name}{META}").absolute()
        self.described = f" on the workers, listed in {self._meta}"

    def make(self) -> None:
        """Raises OutputError when an output of that name was listed here already."""
        if self._meta.exists():
            raise OutputError(f"{self._meta} exists already: remove it, or name another output")

    def complete(self, parts: tuple[OutputPart, ...]) -> None:
        """List the parts."""
        _write_meta(self._meta, parts)

    def discard(self) -> None:
        """The workers have removed what there was."""


Output = FolderOutput | NamedOutput


def _write_meta(path: Path, parts: tuple[OutputPart, ...]) -> None:
    write_meta(str(path), [MetaEntry(part.path, part.worker) for part in parts])
