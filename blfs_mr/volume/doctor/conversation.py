"""Runs an examination: each side is a process, here or on another host, with lines in and lines out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from blfs_mr.errors import ProtocolError
from blfs_mr.model import WorkerName
from blfs_mr.volume.contract import VolumePlace
from blfs_mr.volume.doctor.examination import OWNER, Examination, Sending
from blfs_mr.volume.doctor.messages import Message, SideReport, parse

SILENCE = 60.0
"""Seconds without a word after which a side is given up: an initiator lets a dead session wait for less."""

_LONGEST_LINE = 1 << 20
"""Bytes: a report of a side in great disorder takes some thousands."""


class Side(Protocol):
    """A process of ``blfs-mr volume doctor --role …``, wherever it runs."""

    async def send(self, line: bytes) -> None:
        """Write a line to its input; an input that is closed takes it without an error."""

    async def receive(self) -> bytes:
        """The next line of its output, empty at the end."""


async def examine(
    owner: Side, peers: Mapping[str, Side], *, silence: float = SILENCE
) -> dict[str, SideReport]:
    """Let all sides talk to the end; return what each reported, the owner's under OWNER.

    Raises ProtocolError where a side does not speak as :mod:`messages` has it.
    """
    sides = {OWNER: owner, **peers}
    examination = Examination(peers)
    heard: asyncio.Queue[tuple[str, Message | ProtocolError | None]] = asyncio.Queue()
    listeners = [asyncio.create_task(_listen(name, side, heard)) for name, side in sides.items()]
    try:
        while not examination.done:
            for name, message in await _next(examination, heard, silence):
                await sides[name].send(message.model_dump_json().encode() + b"\n")
    finally:
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
    return examination.reports


async def _next(
    examination: Examination,
    heard: asyncio.Queue[tuple[str, Message | ProtocolError | None]],
    silence: float,
) -> list[Sending]:
    try:
        name, message = await asyncio.wait_for(heard.get(), silence)
    except TimeoutError:
        return examination.given_up(f"it gave no answer within {silence:g} seconds: does a read hang?")
    if isinstance(message, ProtocolError):
        raise message
    if message is None:
        return examination.ended(name, "its side ended without a report")
    return examination.heard(name, message)


async def _listen(
    name: str, side: Side, heard: asyncio.Queue[tuple[str, Message | ProtocolError | None]]
) -> None:
    while line := await side.receive():
        try:
            heard.put_nowait((name, parse(line)))
        except ProtocolError as error:
            heard.put_nowait((name, error))
            return
    heard.put_nowait((name, None))


# ---------------------------------------------------------------- sides on this machine


def side_arguments(
    role: str,
    volume: VolumePlace,
    *,
    owner: WorkerName | None = None,
    rounds: int = 0,
    try_target: bool = False,
) -> list[str]:
    """The arguments of ``blfs-mr`` that start one side, here or on another host."""
    arguments = ["volume", "doctor", "--role", role, "--json", "--device", volume.device]
    if volume.root:
        arguments += ["--mount", volume.root]
    if owner is not None:
        arguments += ["--owner", owner]
    if rounds:
        arguments += ["--rounds", str(rounds)]
    return arguments + ["--try-target"] * try_target


@asynccontextmanager
async def local_side(arguments: Sequence[str]) -> AsyncIterator[Side]:
    """One side as a process of this machine, ended when the context ends. What it complains of is shown."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "blfs_mr.cli", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE,
    )  # fmt: skip
    try:
        yield _LocalSide(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        # A process that hangs in a read of a dead device cannot be waited for.
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5)


class _LocalSide:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout

    async def send(self, line: bytes) -> None:
        with suppress(ConnectionError):
            self._input.write(line)
            await self._input.drain()

    async def receive(self) -> bytes:
        return await self._output.readline()
