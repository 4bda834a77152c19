"""The spawner: one clean process per worker that forks a launcher per job.

    python -m blfs_mr.taskrun.spawner FD [PARENT_PID | UID GID]

It has imported everything that task processes need and runs no user code, so a job's launcher costs a fork
instead of an interpreter's start. ``FD`` is the inherited end of a stream socket to the worker. Without
``PARENT_PID`` it is one for tasks of a user of their own: its own user, or the one that root has it become.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
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
    ForkOpener,
    ForkRemover,
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
        """Fork a launcher, or something else that is the worker's."""
        if isinstance(message, ForkRemover):
            folder = message.folder
            self.fork(message.name, lambda: remove_contents(folder))
            return
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

        def open_files() -> int:
            # Imported here for the same reason: most clusters need none.
            from blfs_mr.taskrun.opener import Opener

            return Opener(socket.socket(fileno=link), socket.socket(fileno=second), group).serve()

        match message:
            case ForkLooker():
                self.fork(message.name, look)
            case ForkOpener():
                second, group = self.take_descriptor(), message.group
                self.fork(message.name, open_files)
                os.close(second)
            case ForkLauncher():
                # The launcher and its children hold the volume's lock for as long as they live.
                lock = self.take_descriptor()
                self.fork(message.job, launch)
                os.close(lock)
            case ForkSpawner():
                self.fork(message.name, spawn)
        os.close(link)


def confine(user: Sequence[int]) -> None:
    """Keep this process and all that it will fork from what they could be given, and from each other.

    ``user`` are the numbers of user and group to become, which only root can; none to stay what it is.
    """
    if user:
        uid, gid = user
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        # With this go all capabilities (capabilities(7), effect of user ID changes).
        os.setresuid(uid, uid, uid)
    linux.forbid_new_privileges()
    linux.forbid_inspection()
    # What a task makes, its group may delete: the worker is in it.
    os.umask(0o007)


def remove_contents(folder: str) -> int:
    """Delete what is in ``folder``, also where a task has closed folders of its own; the exit code."""
    import shutil  # Few spawners ever come by here.

    for path, folders, _ in os.walk(folder):
        for inner in (os.path.join(path, name) for name in folders):
            if not os.path.islink(inner):
                with contextlib.suppress(OSError):  # It is another user's.
                    os.chmod(inner, 0o770)
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
    return 0


def spawn(sock: socket.socket, parent: int | None) -> NoReturn:
    """Be a spawner, until the worker at the other end of ``sock``, or the process ``parent``, ends."""
    if parent is not None:
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
    link, *numbers = map(int, sys.argv[1:])
    if len(numbers) != 1:
        confine(numbers)
    spawn(socket.socket(fileno=link), numbers[0] if len(numbers) == 1 else None)
