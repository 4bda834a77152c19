"""The units of a host while it is part of a cluster."""

from __future__ import annotations

from blfs_mr.cluster.host.steps import Step, command
from blfs_mr.cluster.host.system import System
from blfs_mr.cluster.places import CONFIG_FILE, MASTER_UNIT, WORKER_UNIT
from blfs_mr.cluster.plan import HostPlan


def reload_step(plan: HostPlan) -> Step:
    """A running master admits by the secret, certificates and revocations that stand there now.

    It is asked each time, since an earlier run may have been cut short before it; links that are open stay.
    """
    reload = ["systemctl", "reload", MASTER_UNIT]

    def apply(system: System) -> bool:
        if plan.runs_master and system.run(["systemctl", "is-active", MASTER_UNIT]).exit_code == 0:
            command(system, reload)
        return False

    return Step("master knows its credentials", [f"# where it runs: {' '.join(reload)}"], apply)


def current_step(plan: HostPlan) -> Step:
    """A running worker has read the configuration that stands there: its peers are in it.

    A restarted worker loses no published map output; its running attempts are run again.
    """
    restart = ["systemctl", "restart", WORKER_UNIT]

    def apply(system: System) -> bool:
        if not plan.runs_worker or system.run(["systemctl", "is-active", WORKER_UNIT]).exit_code != 0:
            return False
        show = ["systemctl", "show", "--timestamp=unix", "--property=ExecMainStartTimestamp", "--value"]
        started = command(system, [*show, WORKER_UNIT]).output.strip().removeprefix("@")
        # Of a worker that was started in the second of the change, nobody knows which one it read.
        if started.isdigit() and int(started) > system.modified(CONFIG_FILE):
            return False
        command(system, restart)
        return True

    return Step(
        "worker knows its peers", [f"# if it runs, and was started earlier: {' '.join(restart)}"], apply
    )
