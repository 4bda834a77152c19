"""Between a task process and its opener, which opens files for it that its own user may not open.

One message a packet. A descriptor travels beside ``Opened``.
"""

from __future__ import annotations

from blfs_mr.model import SharedFile
from blfs_mr.values import dataclass
from blfs_mr.wire.messages.base import Acknowledged, Message


@dataclass(frozen=True, slots=True)
class OpenForWrite(Message):  # -> Opened
    """A shared file that was leased to this attempt."""

    shared_file: SharedFile


@dataclass(frozen=True, slots=True)
class OpenForRead(Message):  # -> Opened
    """A shared file of a map output that this attempt was told of."""

    shared_file: SharedFile


@dataclass(frozen=True, slots=True)
class FlushDevice(Message):  # -> Acknowledged
    """Flush the device of the volume that this attempt writes to."""


@dataclass(frozen=True, slots=True)
class OpenOutput(Message):  # -> Opened
    """The output of this reduce attempt, under its attempt's name."""


@dataclass(frozen=True, slots=True)
class RenameOutput(Message):  # -> Acknowledged
    """Give the output its final name: the commit was granted."""


@dataclass(frozen=True, slots=True)
class Opened(Message):
    """Here it is."""


@dataclass(frozen=True, slots=True)
class CannotOpen(Message):
    """Why not: ``number`` is that of the system's error, 0 where it is no error of the system's."""

    number: int
    reason: str
    path: str


ChildToOpener = OpenForWrite | OpenForRead | FlushDevice | OpenOutput | RenameOutput
OpenerToChild = Opened | Acknowledged | CannotOpen
