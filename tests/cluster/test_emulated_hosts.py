"""A cluster on real iSCSI: emulated hosts with kernels of their own, the LIO target and open-iscsi.

They are booted once, and the tests follow one another as an operator's days do: each takes the cluster as the
one before has left it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import emulator, image
from tests.cluster.controls import REPOSITORY, Controls, inventory
from tests.cluster.emulator import Emulator
from tests.cluster.jobs import GATE, Jobs
from tests.cluster.network import Network
from tests.cluster.tools import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.root]

HOSTS = 3
MASTER_PORT, ISCSI_PORT, SSH_PORT = 7070, 3260, 22
BOOT_DEADLINE = 900.0

_SETTINGS = """\
[cluster]
id = "emulated"
shared_files = 24
shared_file_size = "1MiB"

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
    print(bare.controls.cluster("init", timeout=1800))
    print(bare.controls.cluster("start"))
    return bare


@pytest.fixture(scope="module")
def jobs(cluster: Cluster) -> Jobs:
    return Jobs(cluster.controls, cluster.hosts)


def test_a_second_init_changes_nothing_and_says_so(cluster: Cluster) -> None:
    assert "nothing was changed" in cluster.controls.cluster("init")


def test_peers_see_each_volume_write_protected_by_its_target(cluster: Cluster) -> None:
    first, second, _ = cluster.hosts
    path = f"/dev/disk/by-path/ip-{first.address}:{ISCSI_PORT}-iscsi-*{first.name}-lun-0"
    assert first.run(f"blockdev --getro {path}").strip() == "0"
    assert second.run(f"blockdev --getro {path}").strip() == "1"
    # Not by the block device alone: the target refuses the command itself.
    second.run(f"blockdev --setrw {path} 2>/dev/null; true")
    assert second.try_to(f"dd if=/dev/zero of={path} bs=4096 count=1 seek=1 oflag=direct").returncode != 0
    cluster.controls.cluster("init")


def test_intermediate_data_travels_by_iscsi_alone_and_control_messages_by_tls(
    cluster: Cluster, jobs: Jobs
) -> None:
    with captured(cluster.network) as seen:
        jobs.run("counted")
    # Every reducer reads what peers' mappers wrote; control messages are few and small.
    assert seen["bytes"][str(ISCSI_PORT)] > len(jobs.text) // 4
    assert seen["plain"] == 0
    assert seen["flows"] > 0
    assert set(seen["bytes"]) <= {str(port) for port in (SSH_PORT, ISCSI_PORT, MASTER_PORT)}
    print(f"bytes by port during a job of {len(jobs.text)} bytes: {seen['bytes']}")


def test_nothing_listens_but_ssh_the_target_and_the_master_who_answers_nobody_without_a_certificate(
    cluster: Cluster,
) -> None:
    for host in cluster.hosts:
        # State, queues, then the local address with its port.
        places = [line.split()[3] for line in host.run("ss -Hltn").splitlines()]
        ports = {int(place.rpartition(":")[2]) for place in places if not place.startswith(("127.", "[::1]"))}
        expected = {SSH_PORT, ISCSI_PORT} | ({MASTER_PORT} if host is cluster.hosts[0] else set())
        assert ports == expected
    probe = (
        "import socket; s = socket.create_connection(('%s', %d), 60); s.settimeout(120); "
        "s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n' + bytes(64)); print(s.recv(100))"
    )
    said = cluster.hosts[1].try_to(f'python3 -c "{probe % (cluster.hosts[0].address, MASTER_PORT)}"')
    # An alert of TLS at most, or the end of the connection.
    assert said.stdout.strip() in (b"b''", b"") or said.stdout.startswith(b"b'\\x15\\x03"), said


def test_a_job_outlives_a_host_whose_maps_were_done(cluster: Cluster, jobs: Jobs) -> None:
    first, second, third = cluster.hosts
    job = jobs.start("outlived", everywhere=True)
    jobs.wait_for_reduces(job, third)
    third.cut_power()
    for host in (first, second):
        host.run(f"touch {GATE}")
    said, _ = job.communicate(timeout=600)
    assert job.returncode == 0, said.decode()
    jobs.check("outlived", [first, second])
    third.power_on()
    third.wait_for_ssh(BOOT_DEADLINE)


def test_a_host_that_restarts_is_back_by_itself_with_all_volumes(cluster: Cluster, jobs: Jobs) -> None:
    second = cluster.hosts[1]
    before = second.boot_id()
    second.try_to("systemctl reboot")

    def restarted() -> bool:
        answer = second.try_to("cat /proc/sys/kernel/random/boot_id")
        return answer.returncode == 0 and answer.stdout.decode() != before

    wait_until(restarted, "the host has started anew", BOOT_DEADLINE)
    for host in cluster.hosts:
        wait_until(
            lambda host=host: host.try_to("systemctl is-active --quiet blfs-mr-worker").returncode == 0,  # type: ignore[misc]
            f"the worker of {host.name} is back",
            BOOT_DEADLINE,
        )
    print(cluster.controls.cluster("doctor"))
    jobs.run("restarted")


def test_a_host_leaves_the_cluster_and_comes_back(cluster: Cluster, jobs: Jobs) -> None:
    cluster.controls.cluster("remove", "n3")
    assert nothing_left(cluster.hosts[2])
    cluster.controls.cluster("add", "n3")
    jobs.run("added")


def test_teardown_leaves_no_target_session_mount_unit_or_user(cluster: Cluster) -> None:
    cluster.controls.cluster("stop")
    cluster.controls.cluster("teardown", "--yes", "emulated")
    for host in cluster.hosts:
        assert nothing_left(host)


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
        "users": "getent passwd blfs-mr blfs-mr-task; getent group blfs-mr-volumes",
        "processes": "pgrep -fa '/opt/blfs-mr'",
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
