"""How a worker that starts comes to own its volume."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from blfs_mr.errors import DirectIONotSupported, VolumeBusy
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.volume.layout import OwnedVolume
from blfs_mr.volume.opening import open_own

if TYPE_CHECKING:
    from blfs_mr.config import Config

logger = logging.getLogger("blfs_mr.worker")

WRITERS_DEADLINE = 10.0
"""Seconds that a starting worker waits for the volume's lock. Task processes that a dead worker left behind
end within milliseconds, unless they hang in the kernel; another worker with the same volume stays."""

NEXT_TRY = 0.1
"""Seconds between two looks whether the lock is free."""


async def own_volume(config: Config, name: WorkerName, *, buffered: bool) -> OwnedVolume:
    """The volume of the worker ``name``, open and locked.

    Raises VolumeBusy or VolumeError, and DirectIONotSupported where its file system has no O_DIRECT, unless
    reads may be ``buffered``.
    """
    folders = config.worker_folders(name)
    volume = await _opened(config, name)
    if not volume.access.direct:
        if not buffered:
            volume.close()
            raise DirectIONotSupported(
                f"the file system of {folders.volume} refuses O_DIRECT, without which a reader may see stale "
                "bytes: set worker.volume to a folder on ext4 or xfs"
            )
        logger.warning("the file system of %s refuses O_DIRECT: reading through the cache", folders.volume)
    if volume.access.layout is VolumeLayout.DIRECTORY:
        logger.info("the volume %s is a folder: there is no device to flush", folders.volume)
    return volume


async def _opened(config: Config, name: WorkerName) -> OwnedVolume:
    """Open it once writers of an earlier incarnation are gone."""
    told = False
    settings, folders = config.worker, config.worker_folders(name)
    layout = VolumeLayout(settings.layout)
    # A formatted volume knows its own geometry; what is configured must agree where it is.
    made, stated = layout is VolumeLayout.DIRECTORY, settings.model_fields_set
    count = settings.shared_files if made or "shared_files" in stated else None
    size = settings.shared_file_size if made or "shared_file_size" in stated else None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WRITERS_DEADLINE
    while True:
        try:
            return open_own(layout, str(folders.volume), folders.device, name, count, size)
        except VolumeBusy as error:
            if loop.time() > deadline:
                raise
            if not told:
                logger.warning("%s; waiting for it", error)
                told = True
            await asyncio.sleep(NEXT_TRY)
