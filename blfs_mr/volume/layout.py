"""What every layout of a volume offers, so that everything above is the same code for all of them.

There are two views. A task process sees a :class:`Volume`: it opens the shared files that it was told of and
flushes. The owner, which is the worker of the node, sees an :class:`OwnedVolume` too: it holds the volume's
lock and knows all shared files, so that it can lease them.
"""

from __future__ import annotations

from typing import Protocol

from blfs_mr.model import Lease, SharedFile, VolumeAccess, VolumeLayout
from blfs_mr.volume.directory import DirectoryVolume
from blfs_mr.volume.file_layout import FileVolume
from blfs_mr.volume.raw_layout import RawVolume


class Volume(Protocol):
    """A volume as task processes see it. Descriptors that are handed out belong to the caller."""

    @property
    def access(self) -> VolumeAccess:
        """How other processes of this node reach the volume."""

    def open_for_write(self, shared_file: SharedFile) -> int:
        """A descriptor to overwrite the shared file in place. Raises VolumeError or OSError."""

    def open_for_read(self, shared_file: SharedFile) -> int:
        """A descriptor for direct reads (buffered ones where ``access.direct`` is False).

        Raises VolumeError or OSError.
        """

    def flush_device(self) -> bool:
        """Make what was flushed to the device outlive it: the last step before data may be published.

        False where there is no device of the volume's own, and flushing the files was all. Raises OSError.
        """

    def close(self) -> None:
        """Let go of everything but the descriptors that were handed out."""


class OwnedVolume(Volume, Protocol):
    """A volume as its owner sees it. Nobody else can be its owner until every copy of the lock is closed."""

    @property
    def lock_descriptor(self) -> int:
        """The locked descriptor that every process that writes to the volume must inherit."""

    def shared_files(self) -> tuple[SharedFile, ...]:
        """All shared files, always in the same order."""

    def last_lease(self, shared_file: SharedFile) -> Lease | None:
        """The lease in the file's header, None where none of this volume is; later ones go above it."""


def open_volume(access: VolumeAccess) -> Volume:
    """The volume as a task process sees it. Opens nothing yet; raises nothing."""
    match access.layout:
        case VolumeLayout.DIRECTORY:
            return DirectoryVolume(access)
        case VolumeLayout.FILE:
            return FileVolume(access)
        case VolumeLayout.RAW:
            return RawVolume(access)
