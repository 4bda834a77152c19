"""The units in ``systemd/`` as systemd itself judges them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from blfs_mr.cluster.places import DAEMON_USER, SCRATCH, TASK_UNITS, TASK_USER
from daemons.processes import TASKS_SOCKET

UNITS = Path(__file__).parents[2] / "systemd"
OK = 5.0
"""Exposure below is what systemd-analyze(1) calls OK or better."""

SERVICES = sorted(UNITS.glob("*.service"))

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@needs_systemd_analyze
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_no_service_is_more_exposed_than_is_ok(unit: Path) -> None:
    asked = ["systemd-analyze", "security", "--offline=true", str(unit)]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    if "unrecognized option" in said.stderr:
        pytest.skip("this systemd-analyze judges no units that are not loaded")
    level = re.search(r"Overall exposure level for \S+ (\d+\.\d+)", said.stdout)
    assert level is not None, said.stdout + said.stderr
    assert float(level[1]) < OK


@needs_systemd_analyze
@pytest.mark.parametrize(
    "unit", sorted(p for p in UNITS.iterdir() if p.is_file()), ids=lambda unit: unit.name
)
def test_systemd_finds_no_fault_in_a_unit(unit: Path) -> None:
    said = subprocess.run(
        ["systemd-analyze", "--man=no", "--recursive-errors=no", "verify", str(unit)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    # The program stands in /opt on hosts of a cluster alone.
    faults = [line for line in said.stderr.splitlines() if unit.name in line and "not executable" not in line]
    assert faults == []


def test_logins_come_after_the_own_target_and_logouts_before_its_end() -> None:
    between = (UNITS / "blfs-mr-logins.target").read_text("utf-8")
    assert "After=rtslib-fb-targetctl.service target.service\n" in between
    assert "Before=open-iscsi.service iscsi.service\n" in between
    # Orders count between units of one transaction only: this brings it into that of a boot.
    assert re.search(
        "^Wants=.*blfs-mr-logins.target", (UNITS / "blfs-mr-volumes.service").read_text("utf-8"), re.M
    )


@pytest.mark.parametrize("name", ["master", "volumes", "worker"])
def test_services_belong_to_the_target_and_stop_with_it(name: str) -> None:
    text = (UNITS / f"blfs-mr-{name}.service").read_text("utf-8")
    assert "PartOf=blfs-mr.target" in text
    assert "WantedBy=blfs-mr.target" in text


def test_peers_are_looked_for_while_volumes_are_attached() -> None:
    assert "blfs-mr-peers.timer" in (UNITS / "blfs-mr-volumes.service").read_text("utf-8")
    for kind in ("service", "timer"):
        assert "PartOf=blfs-mr-volumes.service" in (UNITS / f"blfs-mr-peers.{kind}").read_text("utf-8")


def test_daemons_are_watched() -> None:
    for daemon in ("master", "worker"):
        text = (UNITS / f"blfs-mr-{daemon}.service").read_text("utf-8")
        assert "Type=notify" in text
        assert "WatchdogSec=" in text


def test_tasks_are_given_to_the_worker_alone_and_can_reach_what_it_gives_them() -> None:
    socket = (UNITS / "blfs-mr-tasks.socket").read_text("utf-8")
    assert f"ListenStream={TASKS_SOCKET}\nSocketUser={DAEMON_USER}\n" in socket
    assert "SocketMode=0600" in socket
    assert "PartOf=blfs-mr.target" in socket
    assert "blfs-mr-tasks.socket" in (UNITS / "blfs-mr-worker.service").read_text("utf-8")
    tasks = (UNITS / "blfs-mr-tasks@.service").read_text("utf-8")
    assert f"User={TASK_USER}\nGroup={TASK_USER}\nSlice=blfs-mr-tasks.slice\n" in tasks
    assert f"ReadWritePaths=/tmp /var/tmp {SCRATCH}\n" in tasks
    assert "SupplementaryGroups" not in tasks
    assert TASK_UNITS == "blfs-mr-tasks@*.service"
