"""A cluster for one submission: a master and workers as child processes on loopback.

    python -m daemons.embedded

The submitter starts this, as the leader of a session of its own, with a pipe on its standard input. There it
says in one line what the cluster shall be like: a JSON object of ``config``, ``workers`` and ``slots``, null
for the defaults. The answer is one on standard output, of ``port``, ``cluster``, ``secret_file``, ``home``
and ``slots``, or of ``error``. When the pipe closes, for whatever reason, the submitter is done or dead: the
daemons are stopped, what is left of their processes is killed, and the folder with everything they wrote is
removed.

Everything but the submitter comes from this one process by fork, so that imports are paid for once. The
spawner is forked first, before anything of a daemon is imported: task processes stay small and clean.
"""

from __future__ import annotations

import gc
import os
import socket
import sys

from blfs_mr import linux
from blfs_mr.taskrun.spawner import spawn


def main() -> None:
    """Be the supervisor."""
    linux.set_child_subreaper()
    # What is imported lives as long as this process and its children: no use in looking for garbage in it.
    gc.disable()
    spawner = _fork_spawner()
    from daemons.supervisor import supervise

    code = supervise(spawner)
    # Nothing is left to be put in order, and a submitter that waits.
    sys.stderr.flush()
    os._exit(code)


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
        except Exception:  # noqa: BLE001 - ours; nobody else would tell of it
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    theirs.close()
    return ours


if __name__ == "__main__":
    main()
