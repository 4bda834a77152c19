"""Looks at peers' volumes in a process of its own: a dead device must not hold up the worker.

Each volume is looked at in a thread, so that one that does not answer keeps back no word of the others. Such
a thread cannot be ended, and keeps this process from ending. The worker counts it, and looks again when it
is gone.
"""

from __future__ import annotations

import socket
from threading import Lock, Thread

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import LinkClosed
from blfs_mr.model import PeerVolume, SeenVolume, VolumeId
from blfs_mr.volume.opening import open_peer
from blfs_mr.wire.messages.child import ChildToWorker, RunLook, VolumeLookedAt, WorkerToChild


def run_look(sock: socket.socket) -> int:
    """Answer the worker at the other end of ``sock``; the process' exit code."""
    link = BlockingLink(sock, incoming=WorkerToChild, outgoing=ChildToWorker)
    try:
        task = link.receive()
    except LinkClosed:
        return 1
    assert isinstance(task, RunLook), "the worker's first message to a looker"
    one_at_a_time = Lock()

    def look(peer: PeerVolume) -> None:
        access, findings = open_peer(peer)
        problem = "; ".join(map(str, findings))
        seen = SeenVolume(peer.owner, access.volume if access else VolumeId(""), problem)
        with one_at_a_time:
            link.send(VolumeLookedAt(seen, access))

    threads = [Thread(target=look, args=(peer,), name=f"look at {peer.owner}") for peer in task.peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0
