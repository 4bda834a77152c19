"""Sending pieces of files to workers: by SFTP, several at once, each read back and compared on its host.

What a host reads back is its own checksum of the file it has, made there. Files that change while they are
sent are told, since replicas would differ.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shlex
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import PurePath

import aiofiles
import asyncssh

from blfs_mr.cluster.inputs import InputPlaces
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.errors import ClusterError, InputError
from blfs_mr.formats.cutting import Piece
from blfs_mr.units import format_size

CHUNK = 1 << 20
"""Bytes read and sent at a time; the SFTP client divides them, and has all parts under way at once."""

AT_ONCE_ON_A_HOST = 4
"""Pieces on their way to one host: while one is read back, others are sent."""

AT_ONCE = 64
"""Pieces on their way in all: each holds a chunk, and one processor encrypts them all."""

_LONGEST_NAME = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def piece_name(number: int, piece: Piece) -> str:
    """The file name of a piece on its holders: with the end that a reader looks at, as ``.gz``."""
    return f"{number:05d}-{_UNSAFE.sub('_', PurePath(piece.path).name)[-_LONGEST_NAME:]}"


class Sending:
    """Pieces on their way to the folder ``folder`` of their holders.

    ``progress`` hears of every so many bytes that were sent. ``digests`` are the SHA-256 of the pieces that
    were, by number.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        holders: Sequence[Sequence[str]],
        places: InputPlaces,
        folder: str,
        progress: Callable[[int], object],
    ) -> None:
        self._pieces, self._holders, self._places, self._folder = pieces, holders, places, folder
        self._progress = progress
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._failed = False
        self.digests: dict[int, str] = {}

    def bytes_for(self, worker: str) -> int:
        """The bytes that ``worker`` is to hold."""
        return sum(self._pieces[number].size for number in self._numbers(worker))

    async def send_to(self, host: SshHost) -> None:
        """Send all that the worker on ``host`` is to hold. After a failure, of any host, no further piece.

        Raises ClusterError, and InputError for what cannot be read here.
        """
        numbers = self._numbers(host.address.name)
        async with host.files() as client:
            # Pieces that are on their way are waited for: nothing is left half-said on the connection.
            ends = await asyncio.gather(
                *(self._send_some(host, client, numbers) for _ in range(AT_ONCE_ON_A_HOST)),
                return_exceptions=True,
            )
            for end in ends:
                if end is not None:
                    raise end

    def _numbers(self, worker: str) -> Iterator[int]:
        return (number for number, holders in enumerate(self._holders) if worker in holders)

    async def _send_some(self, host: SshHost, client: asyncssh.SFTPClient, numbers: Iterator[int]) -> None:
        for number in numbers:
            if self._failed:
                return
            try:
                async with self._turns:
                    await self._send(host, client, number)
            except BaseException:
                self._failed = True
                raise

    async def _send(self, host: SshHost, client: asyncssh.SFTPClient, number: int) -> None:
        piece = self._pieces[number]
        path = f"{self._places.of(host)}/{self._folder}/{piece_name(number, piece)}"
        try:
            digest = await self._transfer(client, piece, path)
        except asyncssh.SFTPError as error:
            # SFTP has no code of its own for a full disk.
            if await _free(host, path) < CHUNK:
                raise ClusterError(f"{host.address}: no space is left for {path}") from error
            raise
        said = await host.check(f"sha256sum < {shlex.quote(path)}", as_root=False)
        if said.split()[0] != digest:
            raise ClusterError(f"{host.address}: {path} is not there as it was sent; its disk may be failing")
        if self.digests.setdefault(number, digest) != digest:
            raise InputError(f"the input {piece.path} changes while it is sent: put it when it is complete")

    async def _transfer(self, client: asyncssh.SFTPClient, piece: Piece, path: str) -> str:
        """Write ``piece`` to ``path``; its SHA-256."""
        digest = hashlib.sha256()
        async with client.open(path, "wb") as target, aclosing(_chunks(piece)) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                await target.write(chunk)
                self._progress(len(chunk))
        return digest.hexdigest()


async def _chunks(piece: Piece) -> AsyncGenerator[bytes, None]:
    """The bytes of ``piece``. Raises InputError."""
    if piece.header:
        yield piece.header
    left = piece.length
    try:
        async with aiofiles.open(piece.path, "rb") as source:
            await source.seek(piece.offset)
            while left:
                chunk = await source.read(min(CHUNK, left))
                if not chunk:
                    raise InputError(f"the input {piece.path} became shorter while it was sent")
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise InputError(f"cannot read the input {piece.path}: {error.strerror}") from error


async def _free(host: SshHost, path: str) -> int:
    """The bytes that are free beside ``path``."""
    folder = shlex.quote(str(PurePath(path).parent))
    return int(await host.check(f"df -B1 --output=avail {folder} | tail -n 1", as_root=False))


def check_space(host: SshHost, free: int, needed: int) -> None:
    """Raise ClusterError unless ``needed`` bytes fit into ``free`` ones."""
    if needed > free:
        raise ClusterError(
            f"{host.address}: {format_size(needed)} are to go there, and {format_size(free)} are free: leave "
            "it out (-w names the others), or make space"
        )
