"""The peers' volumes as a worker sees them: looked at when it starts, and again from time to time.

Nothing that is wrong with one stops the worker. A look is a process of its own with a deadline, since a
device that does not answer holds up whoever reads it, for good. While such a look hangs there is no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Sequence

from blfs_mr.errors import LinkClosed
from blfs_mr.model import PeerVolume, SeenVolume, VolumeAccess, VolumeId, WorkerName
from blfs_mr.net.link import Link
from blfs_mr.wire.messages.child import ChildToWorker, RunLook, VolumeLookedAt, WorkerToChild
from daemons.hung import Hung
from daemons.processes import Spawner, socket_to_child

logger = logging.getLogger("blfs_mr.worker")


LEAST_DEADLINE = 10.0
"""Seconds for a look at least: it starts a process, which on a busy host takes longer than a read may."""


class Peers:
    """What this worker knows of ``configured``; ``deadline`` is that of one read, in seconds."""

    def __init__(
        self,
        configured: Sequence[PeerVolume],
        deadline: float,
        hung: Hung,
        spawner: Callable[[], Awaitable[Spawner]],
    ) -> None:
        self.readable: dict[WorkerName, VolumeAccess] = {}
        self._configured, self._hung, self._spawner = configured, hung, spawner
        self._deadline = max(deadline, LEAST_DEADLINE)
        unseen = "it was not looked at yet"
        self._seen = {peer.owner: SeenVolume(peer.owner, VolumeId(""), unseen) for peer in configured}
        self._looks, self._looked = 0, -math.inf
        self._looking = asyncio.Lock()

    @property
    def seen(self) -> tuple[SeenVolume, ...]:
        """All of them, as they were seen last."""
        return tuple(self._seen.values())

    def configured(self, owner: WorkerName) -> bool:
        """Whether this host was told of a device for the volume of ``owner``."""
        return owner in self._seen

    async def look(self) -> None:
        """Look at all of them; returns when that was done since the call."""
        asked = asyncio.get_running_loop().time()
        async with self._looking:
            # A thousand map outputs that cannot be read are reported at once; one look is enough for all.
            if self._looked > asked:
                return
            self._looked = asyncio.get_running_loop().time()
            waiting = [peer for peer in self._configured if not self._hung.holds(_name(peer))]
            answers = await self._ask(waiting) if waiting else {}
            for peer in waiting:
                self._note(peer, answers.get(peer.owner))

    def _note(self, peer: PeerVolume, answer: VolumeLookedAt | None) -> None:
        owner, before = peer.owner, self._seen[peer.owner]
        if answer is None:
            problem = f"{peer.device} does not answer: a read of it took longer than {self._deadline:g} s"
            answer = VolumeLookedAt(SeenVolume(owner, VolumeId(""), problem), None)
        self._seen[owner] = answer.seen
        if answer.access is not None:
            self.readable[owner] = answer.access
        else:
            self.readable.pop(owner, None)
        if answer.seen == before:
            return
        if answer.seen.problem:
            logger.error("the volume of %s cannot be read here: %s", owner, answer.seen.problem)
        else:
            logger.info("the volume of %s can be read here: %s", owner, answer.seen.volume)

    async def _ask(self, peers: Sequence[PeerVolume]) -> dict[WorkerName, VolumeLookedAt]:
        """What a new process sees of ``peers`` until the deadline."""
        self._looks += 1
        name = f"look-{self._looks}"
        answers: dict[WorkerName, VolumeLookedAt] = {}
        try:
            with socket_to_child() as (ours, theirs):
                spawner = await self._spawner()
                forked, exited = await spawner.looker(name, theirs)
                pid = await forked
        except (LinkClosed, OSError) as error:
            return {peer.owner: _unseen(peer, str(error)) for peer in peers}
        link = await Link.over_socket(ours, incoming=ChildToWorker, outgoing=WorkerToChild, peer=name)
        with contextlib.suppress(TimeoutError, LinkClosed):
            async with asyncio.timeout(self._deadline):
                await link.send(RunLook(tuple(peers)))
                while len(answers) < len(peers) and (envelope := await anext(link, None)):
                    if isinstance(envelope.message, VolumeLookedAt):
                        answers[envelope.message.seen.owner] = envelope.message
        await link.close()
        if len(answers) < len(peers):
            await spawner.kill(name)
            for peer in peers:
                if peer.owner not in answers:
                    self._hung.expect_end(exited, pid, _name(peer))
        return answers


def _name(peer: PeerVolume) -> str:
    return f"a look at {peer.device}, the volume of {peer.owner}"


def _unseen(peer: PeerVolume, problem: str) -> VolumeLookedAt:
    return VolumeLookedAt(SeenVolume(peer.owner, VolumeId(""), f"it could not be looked at: {problem}"), None)
