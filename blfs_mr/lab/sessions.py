"""Ends the sessions of initiator processes whose target is gone for too long.

The kernel's initiator fails what waits for a target after the session's timeout (iscsid.conf,
``node.session.timeo.replacement_timeout``). The process that stands in for it tries for ever, and whoever
reads from it hangs for ever; so this keeper looks at the targets, and ends the sessions with one that did not
answer all that time. Unlike the kernel's they do not come back: their node has to be connected anew.

    python -m blfs_mr.lab.sessions FOLDER
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from blfs_mr.lab.disks import end_sessions
from blfs_mr.lab.plan import ADDRESS, LabPlan
from blfs_mr.lab.running import load_plan
from blfs_mr.model import WorkerName

logger = logging.getLogger("blfs_mr.lab")

LOOK_INTERVAL = 0.5
"""Seconds between two looks at the targets."""


@dataclass(slots=True)
class Silences:
    """Since when targets do not answer. Times and ``timeout`` are seconds of one clock."""

    timeout: float
    _since: dict[WorkerName, float] = field(default_factory=dict)

    def is_over(self, owner: WorkerName, answers: bool, now: float) -> bool:
        """Whether the sessions with the target of ``owner`` have waited long enough."""
        if answers:
            self._since.pop(owner, None)
            return False
        return now - self._since.setdefault(owner, now) >= self.timeout


def keep(plan: LabPlan) -> None:
    """Look at the targets until this process is ended."""
    silences = Silences(plan.session_timeout)
    while True:
        for owner in plan.nodes:
            if silences.is_over(owner, _answers(plan.portal(owner)), time.monotonic()):
                logger.warning("%s: no answer for %g s: ended its sessions", owner, plan.session_timeout)
                end_sessions(plan, owner)
        time.sleep(LOOK_INTERVAL)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((ADDRESS, port), timeout=LOOK_INTERVAL).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    keep(load_plan(Path(sys.argv[1])))
