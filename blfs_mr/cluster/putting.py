"""Putting an input on workers, from the first folder to the manifest that makes it one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from blfs_mr.cluster.fleet import Fleet
from blfs_mr.cluster.inputs import InputPlaces, finish_folder, prepare_folder, remove_folder, write_manifest
from blfs_mr.cluster.sending import Sending, check_space, piece_name
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.errors import ClusterError, InputError
from blfs_mr.formats.cutting import Piece
from blfs_mr.formats.manifest import HeldPiece, Manifest, Summary
from blfs_mr.model import WorkerName

_CLEANING_DEADLINE = 15.0
"""Seconds for removing what a failed put has sent. What stays then goes with the next put of that name."""


async def put_input(
    master: SshHost,
    workers: Fleet,
    places: InputPlaces,
    pieces: Sequence[Piece],
    holders: Sequence[Sequence[str]],
    *,
    name: str,
    boundary: str,
    replaced: Summary | None,
    progress: Callable[[int], object],
) -> Manifest:
    """Send ``pieces`` to their ``holders``, which are all in ``workers``, and make them the input ``name``.

    Where the input is there already, ``replaced``, it stays as it is until then. Raises ClusterError and
    InputError, with the input as it was before, unless it is the very last step that fails.
    """
    identity = os.urandom(8).hex()
    folder = f"{name}.{identity}"
    sending = Sending(pieces, holders, places, folder, progress)

    async def prepare(host: SshHost) -> None:
        free = await prepare_folder(host, places, name, folder, replaced.folder if replaced else "")
        check_space(host, free, sending.bytes_for(host.address.name))

    async def finish(host: SshHost) -> None:
        await finish_folder(host, places, folder)

    try:
        (await workers.each(prepare)).check("preparing")
        (await workers.each(sending.send_to)).check("sending")
        (await workers.each(finish)).check("finishing")
    except BaseException:
        await _clean_up(workers, places, folder)
        raise
    held = tuple(
        HeldPiece(
            f"{folder}/{piece_name(number, piece)}",
            piece.size,
            sending.digests[number],
            tuple(WorkerName(holder) for holder in holders[number]),
        )
        for number, piece in enumerate(pieces)
    )
    manifest = Manifest(name, identity, boundary, held)
    try:
        await write_manifest(master, places, manifest, replace=replaced is not None)
    except InputError:
        await _clean_up(workers, places, folder)
        raise
    return manifest


async def _clean_up(workers: Fleet, places: InputPlaces, folder: str) -> None:
    async def remove(host: SshHost) -> None:
        with suppress(ClusterError):
            await remove_folder(host, places, folder)

    with suppress(TimeoutError):
        async with asyncio.timeout(_CLEANING_DEADLINE):
            await workers.each(remove)
