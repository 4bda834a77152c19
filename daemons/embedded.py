"""A cluster for one submission: a master and workers as child processes on loopback.

    python -m daemons.embedded [--config FILE] [--workers N] [--slots N]

The submitter starts this with a pipe on its standard input. It writes one JSON object on a line to its
standard output: ``port``, ``cluster``, ``secret_file``, ``home`` and ``slots``. When the pipe closes, for
whatever reason, the submitter is done or dead: the daemons are stopped, what is left of their processes is
killed, and the folder with everything they wrote is removed.

Everything but the submitter comes from this one process by fork, so that imports are paid for once. The
spawner is forked first, before anything of a daemon is imported: task processes stay small and clean.
"""

from __future__ import annotations

import os
import socket

from blfs_mr import linux
from blfs_mr.taskrun.spawner import spawn


def main() -> None:
    """Be the supervisor."""
    os.setsid()  # A terminal's Ctrl-C is for the submitter alone.
    linux.set_child_subreaper()
    spawner = _fork_spawner()
    from daemons.supervisor import supervise

    supervise(obj=spawner)


def _fork_spawner() -> socket.socket:
    """A link to a new spawner."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    if os.fork() == 0:
        try:
            ours.close()
            # Whoever holds the submitter's pipes would keep it from seeing its end, and us from seeing its.
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            os.close(null)
            spawn(theirs, parent)
        finally:
            os._exit(1)
    theirs.close()
    return ours


if __name__ == "__main__":
    main()
