"""A cluster on real iSCSI: emulated hosts with kernels of their own, the LIO target and open-iscsi.

They are booted once, and the tests follow one another as an operator's days do: each takes the cluster as the
one before has left it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import emulator, image
from tests.cluster.controls import REPOSITORY, Controls, inventory
from tests.cluster.emulator import Emulator
from tests.cluster.jobs import Jobs
from tests.cluster.network import Network
from tests.cluster.tools import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.root]

HOSTS = 3
MASTER_PORT, ISCSI_PORT, SSH_PORT = 7070, 3260, 22
BOOT_DEADLINE, DEADLINE = 900.0, 1800.0

RECOVERY = 600
"""Seconds for which initiators wait for a target that is gone; neither a job nor a shutdown may."""

WITHOUT_RECOVERY = RECOVERY - 60.0
"""Seconds in which a job ends, or a host starts anew: less than initiators wait for the host that is gone."""

_SETTINGS = f"""\
[cluster]
id = "emulated"
shared_files = 24
shared_file_size = "1MiB"

[cluster.iscsi]
replacement_timeout = "{RECOVERY}s"

[cluster.limits]
free_space = "64MiB"

[worker]
slots = 2
"""


class Cluster:
    """The hosts and their controls."""

    def __init__(self, folder: Path, made_of: image.Image, leave: ExitStack) -> None:
        self.network = Network()
        leave.callback(self.network.close)
        self.hosts = []
        for number in range(1, HOSTS + 1):
            host = Emulator(number, self.network, made_of, folder / f"n{number}", 64 << 20)
            leave.callback(host.close)
            self.hosts.append(host)
        self.controls = Controls(self.network, folder)
        lines = inventory(made_of.key, self.hosts, 'device = "/dev/vdb"', more=_SETTINGS)
        self.controls.config.write_text(lines, "utf-8")


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """All hosts, up and bare."""
    if reason := emulator.why_not():
        pytest.skip(reason)
    made_of = image.present_image()
    if made_of is None:
        pytest.skip("there is no image of hosts: `python -m tests.cluster.image` makes it")
    with ExitStack() as leave:
        folder = Path(tempfile.mkdtemp(prefix="blfs-mr-hosts-"))
        leave.callback(shutil.rmtree, folder)
        cluster = Cluster(folder, made_of, leave)
        for host in cluster.hosts:
            host.power_on()
        for host in cluster.hosts:
            host.wait_for_ssh(BOOT_DEADLINE)
        yield cluster


@pytest.fixture(scope="module")
def cluster(bare: Cluster) -> Cluster:
    """Set up by one command, and started by another."""
    bare.controls.cluster("init", timeout=DEADLINE)
    bare.controls.cluster("start")
    bare.controls.cluster("status")
    return bare


@pytest.fixture(scope="module")
def jobs(cluster: Cluster) -> Jobs:
    return Jobs(cluster.controls, cluster.hosts)


def test_jobs_of_the_operator_and_of_a_submitter_with_credentials_give_the_right_result(jobs: Jobs) -> None:
    jobs.run("counted")
    jobs.sort_as_submitter("sorted")


def test_a_second_init_changes_nothing_and_says_so(cluster: Cluster) -> None:
    assert "nothing was changed" in cluster.controls.cluster("init", timeout=DEADLINE)


def test_the_units_are_clean_and_no_more_exposed_than_the_documents_say(cluster: Cluster) -> None:
    first = cluster.hosts[0]
    find = r"find /etc/systemd/system -maxdepth 1 -type f -name 'blfs-mr*' -printf '%f\n'"
    units = first.run(find).split()
    assert first.run(f"systemd-analyze verify {' '.join(units)} 2>&1") == ""
    described = (REPOSITORY / "docs/units.md").read_text("utf-8")
    for unit in (name for name in units if name.endswith(".service")):
        said = first.run(f"systemd-analyze security --no-pager {unit} 2>/dev/null || true")
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
        assert found is not None, said
        row = rf"^\|[^|]*`{re.escape(unit)}`[^|]*\|.*\| ([\d.]+), OK \|$"
        claimed = re.search(row, described, re.MULTILINE)
        assert claimed is not None, f"docs/units.md has no figure for {unit}"
        assert float(found[1]) <= float(claimed[1]), found[0]


def test_peers_see_each_volume_write_protected_by_its_target(cluster: Cluster) -> None:
    first, second, _ = cluster.hosts
    path = f"/dev/disk/by-path/ip-{first.address}:{ISCSI_PORT}-iscsi-{target_of(first)}-lun-0"
    assert first.run(f"blockdev --getro {path}").strip() == "0"
    assert second.run(f"blockdev --getro {path}").strip() == "1"
    # Not by the block device alone, past which this goes: the target refuses the command (WRITE(10)) itself.
    generic = f"/dev/$(ls /sys/block/$(basename $(readlink -f {path}))/device/scsi_generic)"
    write = f"modprobe sg; sg_raw -s 512 -i /dev/zero {generic} 2a 00 00 00 00 00 00 00 01 00 2>&1"
    refused = second.try_to(write)
    assert refused.returncode != 0
    assert b"Data Protect" in refused.stdout, refused.stdout


def test_intermediate_data_travels_by_iscsi_alone_and_control_messages_by_tls(
    cluster: Cluster, jobs: Jobs
) -> None:
    first = cluster.hosts[0]
    with captured(cluster.network) as seen:
        job = jobs.start("captured")
        jobs.wait_for_reduces(job, first)
        connections = first.run("ss -Htnp state established").splitlines()
        jobs.end(job, cluster.hosts, DEADLINE)
    jobs.check("captured")
    by_port = seen["bytes"]
    print(f"bytes by port during a job of {len(jobs.text)} bytes: {by_port}")
    # SSH is how this test looks at the hosts.
    assert set(by_port) <= {str(port) for port in (SSH_PORT, ISCSI_PORT, MASTER_PORT)}
    # What mappers wrote on other hosts, which is two thirds of all that a reducer reads.
    assert by_port[str(ISCSI_PORT)] > len(jobs.text) // 4
    assert by_port[str(MASTER_PORT)] < len(jobs.text) // 4
    assert seen["plain"] == 0
    assert seen["flows"] > 0
    ours = [line.split()[2:4] for line in connections if '"python' in line]
    assert ours
    assert all(str(MASTER_PORT) in {place.rpartition(":")[2] for place in places} for places in ours)


def test_a_stranger_finds_ssh_the_target_and_the_master_and_none_of_them_answers(cluster: Cluster) -> None:
    for host in cluster.hosts:
        # State, queues, then the local address with its port.
        places = [line.split()[3] for line in host.run("ss -Hltn").splitlines()]
        ports = {int(place.rpartition(":")[2]) for place in places if not place.startswith(("127.", "[::1]"))}
        assert ports == {SSH_PORT, ISCSI_PORT} | ({MASTER_PORT} if host is cluster.hosts[0] else set())
    address = cluster.hosts[0].address
    target = target_of(cluster.hosts[0])
    command = [sys.executable, "-m", "tests.cluster.stranger", address, str(MASTER_PORT), str(ISCSI_PORT)]
    asked = subprocess.run(
        cluster.network.command(*command, target),
        cwd=REPOSITORY,
        capture_output=True,
        timeout=DEADLINE,
        check=True,
    )
    said = json.loads(asked.stdout)
    assert said["open"] == sorted([SSH_PORT, ISCSI_PORT, MASTER_PORT])
    # An alert of TLS at most (RFC 8446, 5.1), and nothing inside.
    assert said["plain"][:6] in ("", "150303", "150301")
    assert said["tls"] == ""
    assert said["targets"] == []
    assert said["login"] != 0


def test_a_job_outlives_a_host_whose_maps_were_done(cluster: Cluster, jobs: Jobs) -> None:
    first, second, third = cluster.hosts
    job = jobs.start("outlived")
    jobs.wait_for_reduces(job, third)
    third.cut_power()
    print(jobs.end(job, [first, second], WITHOUT_RECOVERY))
    jobs.check("outlived")
    third.power_on()
    third.wait_for_ssh(BOOT_DEADLINE)
    wait_until_whole(*cluster.hosts)


def test_a_host_that_restarts_is_back_by_itself_with_all_volumes(cluster: Cluster, jobs: Jobs) -> None:
    restart(cluster.hosts[1])
    wait_until_whole(*cluster.hosts)
    print(cluster.controls.cluster("doctor"))
    cluster.controls.cluster("status")
    jobs.run("restarted")


def test_a_host_that_starts_without_a_peer_works_gets_it_later_and_can_restart(cluster: Cluster) -> None:
    _, second, third = cluster.hosts
    second.cut_power()
    third.cut_power()
    second.power_on()
    second.wait_for_ssh(BOOT_DEADLINE)
    wait_until_whole(second, volumes=HOSTS - 1)
    third.power_on()
    third.wait_for_ssh(BOOT_DEADLINE)
    wait_until_whole(*cluster.hosts)
    restart(second)
    wait_until_whole(*cluster.hosts)


def test_a_host_leaves_the_cluster_and_comes_back(cluster: Cluster, jobs: Jobs) -> None:
    first, _, third = cluster.hosts
    cluster.controls.cluster("remove", third.name, timeout=DEADLINE)
    assert nothing_left(third)
    assert third.name not in first.run("iscsiadm -m session; grep blfs-mr /proc/mounts")
    cluster.controls.cluster("add", third.name, timeout=DEADLINE)
    wait_until_whole(*cluster.hosts)
    jobs.run("added")


def test_teardown_leaves_no_target_session_mount_unit_or_user(cluster: Cluster) -> None:
    cluster.controls.cluster("stop")
    cluster.controls.cluster("teardown", "--yes", "emulated", timeout=DEADLINE)
    for host in cluster.hosts:
        assert nothing_left(host)


def target_of(host: Emulator) -> str:
    """The name of its target."""
    return f"iqn.2022-05.{host.address}:{host.name}"


def restart(host: Emulator) -> None:
    """Return when ``host`` answers after a restart."""
    before = host.boot_id()
    host.try_to("systemctl reboot")

    def restarted() -> bool:
        answer = host.try_to("cat /proc/sys/kernel/random/boot_id")
        return answer.returncode == 0 and answer.stdout.decode() != before

    wait_until(restarted, f"{host.name} has started anew", WITHOUT_RECOVERY)


def wait_until_whole(*hosts: Emulator, volumes: int = HOSTS) -> None:
    """Return when every worker runs, with a session and a mount for each of so many volumes."""
    look = "systemctl is-active --quiet blfs-mr-worker && iscsiadm -m session -P 1 && cat /proc/mounts"

    def whole(host: Emulator) -> bool:
        answer = host.try_to(look)
        said = answer.stdout.decode()
        counted = said.count("LOGGED_IN"), said.count(" /var/lib/blfs-mr/volumes/")
        return answer.returncode == 0 and counted == (volumes, volumes)

    for host in hosts:
        wait_until(partial(whole, host), f"{host.name} has its worker and {volumes} volumes", BOOT_DEADLINE)


def nothing_left(host: Emulator) -> bool:
    """Whether ``host`` is as bare as it was."""
    traces = {
        "targets": "ls /sys/kernel/config/target/iscsi 2>/dev/null | grep iqn",
        "backstores": "ls -d /sys/kernel/config/target/core/iblock_*/* 2>/dev/null | grep blfs",
        "sessions": "iscsiadm -m session 2>/dev/null",
        "records": "iscsiadm -m node 2>/dev/null",
        "mounts": "grep blfs-mr /proc/mounts",
        "folders": "ls -d /etc/blfs-mr /var/lib/blfs-mr /opt/blfs-mr* 2>/dev/null",
        "units": "systemctl list-unit-files --no-legend 'blfs-mr*' | grep blfs",
        "additions to units": "ls -d /etc/systemd/system/*.service.d 2>/dev/null",
        "users": "getent passwd blfs-mr blfs-mr-task; getent group blfs-mr-volumes",
        "processes": "pgrep -fa '[/]opt/blfs-mr'",
    }
    found = {name: host.run(f"{{ {command}; }} || true").strip() for name, command in traces.items()}
    assert not any(found.values()), {name: said for name, said in found.items() if said}
    return True


@contextmanager
def captured(network: Network) -> Iterator[dict[str, Any]]:
    """What passes between the hosts while the context lasts; the value is filled at its end."""
    command = [sys.executable, "-m", "tests.cluster.capture", "bridge", str(MASTER_PORT)]
    process = subprocess.Popen(
        network.command(*command), cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    seen: dict[str, Any] = {}
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield seen
        out, _ = process.communicate(b"", timeout=60)
        seen.update(json.loads(out))
    finally:
        process.kill()
        process.wait()
