"""A cluster from bare hosts to nothing again, on real systemd, sshd and shared block devices.

The hosts are containers, so there is no iSCSI: volumes are raw and given, each seen by its owner and by each
peer through a device of its own. One of them is reached by a user with sudo.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import container, image
from tests.cluster.container import Container, Disk
from tests.cluster.controls import Controls, inventory
from tests.cluster.jobs import TEXT, Jobs
from tests.cluster.network import Network
from tests.cluster.tools import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.root]

HOSTS = 3
FILES, SIZE = 16, 1 << 20

_SETTINGS = f"""\
[cluster]
id = "containers"
attach = "given"
layout = "raw"
shared_files = {FILES}
shared_file_size = {SIZE}

[cluster.limits]
free_space = "64MiB"

[worker]
slots = 2
"""


class Cluster:
    """The hosts, their disks, and the controls of them all."""

    def __init__(self, folder: Path, made_of: image.Image, leave: ExitStack) -> None:
        network = Network()
        leave.callback(network.close)
        self.hosts = []
        for number in range(1, HOSTS + 1):
            host = Container(number, network, made_of, folder / f"n{number}")
            leave.callback(host.close)
            self.hosts.append(host)
        for owner in self.hosts:
            disk = Disk(folder / f"{owner.name}.disk", FILES * SIZE + (32 << 20))
            leave.callback(disk.close)
            for host in self.hosts:
                host.add_device(disk.device(read_only=host is not owner), f"/dev/volume-{owner.name}")
        self.controls = Controls(network, folder)
        device = 'device = "/dev/volume-{name}"\npeer_device = "/dev/volume-{name}"'
        users = {self.hosts[1].name: image.SUDOER}
        lines = inventory(made_of.key, self.hosts, device, more=_SETTINGS, users=users)
        self.controls.config.write_text(lines, "utf-8")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """All hosts, up and bare."""
    if reason := container.why_not():
        pytest.skip(reason)
    made_of = image.present_image()
    if made_of is None:
        pytest.skip("there is no image of hosts: `python -m tests.cluster.image` makes it")
    with ExitStack() as leave:
        folder = Path(tempfile.mkdtemp(prefix="blfs-mr-hosts-"))
        leave.callback(shutil.rmtree, folder)
        try:
            cluster = Cluster(folder, made_of, leave)
            for host in cluster.hosts:
                host.power_on()
            for host in cluster.hosts:
                host.wait_for_ssh(120)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"containers do not boot here: {error}")
        yield cluster


def check_tasks(host: Container) -> None:
    """Tasks run as a user of their own, within their slice, and can open nothing of the daemons'."""
    pids = host.run("pgrep -u blfs-mr-task").split()
    assert len(pids) >= 3, "a spawner, a launcher and a task"
    for pid in pids:
        assert "/blfs-mr-tasks.slice/" in host.run(f"cat /proc/{pid}/cgroup")
        status = dict(line.split(":", 1) for line in host.run(f"cat /proc/{pid}/status").splitlines())
        assert status["Groups"].split() in ([], status["Gid"].split()[:1])
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert status["NoNewPrivs"].strip() == "1"
    for path in (
        "/etc/blfs-mr/secret",
        "/etc/blfs-mr/worker-tls/certificate.key",
        f"/dev/volume-{host.name}",
    ):
        assert host.try_to(f"test -e {path}").returncode == 0
        assert host.try_to(f"runuser -u blfs-mr-task -- head -c 1 {path}").returncode != 0
    assert host.try_to("runuser -u blfs-mr-task -- ls /var/lib/blfs-mr/scratch").returncode != 0


def runs_no_task(host: Container) -> bool:
    return host.try_to("pgrep -u blfs-mr-task").returncode == 1


def test_bare_hosts_become_a_cluster_that_outlives_one_of_them_and_bare_hosts_again(cluster: Cluster) -> None:
    controls, (first, second, third) = cluster.controls, cluster.hosts
    controls.cluster("init")
    assert "nothing was changed" in controls.cluster("init")
    controls.cluster("start")
    jobs = Jobs(controls, cluster.hosts)
    jobs.run("before")
    jobs.sort_as_submitter("sorted")

    # As udev makes a device whose target has come up only now.
    first.run("chgrp root /dev/volume-n2")
    assert first.run("systemctl is-active blfs-mr-peers.timer").strip() == "active"
    first.run("systemctl start blfs-mr-peers.service")
    assert first.run("stat --format=%G /dev/volume-n2").strip() == "blfs-mr-volumes"

    # The operator's own host is none of the cluster's: input goes there, and output stays there.
    config, text = controls.config, controls.folder / "lines"
    text.write_text(jobs.text)
    said = controls.command("input", "--config", config, "put", text, "words", "--split-size", "20KiB")
    assert "words: " in said
    assert "missing" not in controls.command("input", "--config", config, "list", "words")
    controls.submit(jobs.program, "words", "-o", "counted")
    listed = controls.folder / "counted.meta"
    shown = controls.command("output", "--config", config, "cat", "-s", listed)
    assert sorted(shown.splitlines()) == sorted(f"{word}\t{count}" for word, count in jobs.counts.items())
    controls.submit(jobs.program, listed, "-o", "again")
    shown = controls.command("output", "--config", config, "cat", controls.folder / "again.meta")
    assert dict(line.split("\t") for line in shown.splitlines()).keys() >= jobs.counts.keys()

    job = jobs.start("through")
    jobs.wait_for_reduces(job, third)
    check_tasks(third)
    third.cut_power()
    jobs.end(job, [first, second], 300)
    jobs.check("through")
    with pytest.raises(AssertionError, match=r"not all holders could be asked:\n +n3 "):
        controls.command("input", "--config", config, "list", "words")
    controls.submit(jobs.program, "words", "-o", "without")
    jobs.check("without")
    with pytest.raises(AssertionError, match=r"n3 .* (cannot be reached|gave no answer)"):
        controls.command("output", "--config", config, "cat", listed)
    with pytest.raises(AssertionError, match=r"run `blfs-mr input rm words` again:\n +n3 "):
        controls.command("input", "--config", config, "rm", "words")

    third.power_on()
    third.wait_for_ssh()
    wait_until(
        lambda: third.try_to("systemctl is-active --quiet blfs-mr-worker").returncode == 0,
        "the worker of a host that has come back is ready",
    )
    jobs.run("after")
    controls.command("input", "--config", config, "rm", "words")
    assert controls.command("input", "--config", config, "list").startswith(f"{TEXT}: ")
    assert third.run("ls -d /var/lib/blfs-mr/input/n3/words.* 2>/dev/null || true") == ""
    controls.command("output", "--config", config, "rm", listed)

    controls.cluster("stop")
    for host in cluster.hosts:
        wait_until(partial(runs_no_task, host), "no process of the tasks' user is left")
    controls.cluster("teardown", "--yes", "containers")
    for host in cluster.hosts:
        assert host.run("ls -d /etc/blfs-mr /var/lib/blfs-mr /opt/blfs-mr* 2>/dev/null || true") == ""
        assert host.run("systemctl list-unit-files --no-legend 'blfs-mr*' || true") == ""
        assert host.run("getent passwd blfs-mr blfs-mr-task || true") == ""
