"""The spawner: one clean process per worker that forks a launcher per job.

    python -m blfs_mr.taskrun.spawner FD PARENT_PID

It has imported everything that task processes need and runs no user code, so a job's launcher costs a fork
instead of an interpreter's start. ``FD`` is the inherited end of a stream socket pair to the worker.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from typing import NoReturn

from blfs_mr import linux
from blfs_mr.taskrun.fork_server import ForkServer, die_with_parent
from blfs_mr.taskrun.launcher import Launcher
from blfs_mr.wire.codec import codec_for
from blfs_mr.wire.messages.base import Message
from blfs_mr.wire.messages.child import WorkerToChild
from blfs_mr.wire.messages.launcher import (
    ForkLauncher,
    ForkLooker,
    ForkSpawner,
    SpawnerToWorker,
    WorkerToLauncher,
    WorkerToSpawner,
)


class Spawner(ForkServer):
    """Serves one worker."""

    kills_orphans = True

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, WorkerToSpawner, SpawnerToWorker)

    def handle(self, message: Message) -> None:
        """Fork a launcher, a looker, or another spawner."""
        link = self.take_descriptor()

        def launch() -> NoReturn:
            linux.set_child_subreaper()
            Launcher(socket.socket(fileno=link), lock).serve()

        def spawn() -> NoReturn:
            linux.set_child_subreaper()
            Spawner(socket.socket(fileno=link)).serve()

        def look() -> int:
            # Imported here: an embedded cluster has no peers, and starts the faster.
            from blfs_mr.taskrun.looker import run_look

            return run_look(socket.socket(fileno=link))

        match message:
            case ForkLooker():
                self.fork(message.name, look)
            case ForkLauncher():
                # The launcher and its children hold the volume's lock for as long as they live.
                lock = self.take_descriptor()
                self.fork(message.job, launch)
                os.close(lock)
            case ForkSpawner():
                self.fork(message.name, spawn)
        os.close(link)


def spawn(sock: socket.socket, parent: int) -> NoReturn:
    """Be a spawner, until the worker at the other end of ``sock``, or the process ``parent``, ends."""
    die_with_parent(parent)
    linux.set_child_subreaper()
    # A terminal's Ctrl-C is for the submitter; the worker says when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for vocabulary in (WorkerToSpawner, WorkerToLauncher, WorkerToChild):
        codec_for(vocabulary).prepare()
    # What lives now lives as long as all children: keep the collector, and with it the copying of every
    # page that it would touch, away from it.
    gc.collect()
    gc.freeze()
    gc.enable()
    Spawner(sock).serve()


if __name__ == "__main__":
    spawn(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
