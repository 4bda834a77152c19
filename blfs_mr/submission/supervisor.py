"""The supervisor of an embedded cluster as a child process of the submitter.

It takes as long to start as the submitter takes to import its own modules. So ``begin`` comes before all of
that, and this module imports next to nothing; what the cluster is to be like follows when the command line
was read (``blfs_mr.submission.embedded``).
"""

from __future__ import annotations

import atexit
import os
import select
import sys

LEAVE_DEADLINE = 15.0
"""Seconds that the supervisor gets to stop everything; it kills what has not stopped after 5 s itself."""


class SupervisorProcess:
    """A process whose life hangs on a pipe, ``stdin``, that only this process holds open.

    ``stdout`` is where it says that the cluster is there. Both are descriptors.
    """

    def __init__(self) -> None:
        their_stdin, self.stdin = os.pipe()
        self.stdout, their_stdout = os.pipe()
        # In a session of its own from the start: a terminal's Ctrl-C is for the submitter alone.
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "daemons.embedded"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, their_stdin, 0), (os.POSIX_SPAWN_DUP2, their_stdout, 1)],
            setsid=True,
        )
        os.close(their_stdin)
        os.close(their_stdout)

    def close(self) -> int:
        """Let it go; returns its exit code, as ``os.waitstatus_to_exitcode`` has it, when it is gone."""
        os.close(self.stdin)
        ended = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            if not poll.poll(LEAVE_DEADLINE * 1000):
                from signal import SIGKILL  # hardly ever; and its module takes longer than all of this

                os.kill(self.pid, SIGKILL)
        finally:
            os.close(ended)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.stdout)
        return os.waitstatus_to_exitcode(status)


_begun: list[SupervisorProcess] = []


def begin(arguments: list[str]) -> None:
    """Start a supervisor if the command line ``arguments`` look as if one were needed."""
    if not any(word == "--help" or word.partition("=")[0] == "--master" for word in arguments):
        _begun.append(SupervisorProcess())
        atexit.register(_close_unused)


def take() -> SupervisorProcess:
    """The supervisor that was begun, or else a new one. It is the caller's to close."""
    return _begun.pop() if _begun else SupervisorProcess()


def _close_unused() -> None:
    """The command line was wrong, or was not what it looked like."""
    while _begun:
        _begun.pop().close()
