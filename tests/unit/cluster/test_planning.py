"""Plans of hosts whose volumes are given, and credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.cluster.credentials import load_or_create_chap
from blfs_mr.cluster.plan import HostPlan
from blfs_mr.cluster.planning import host_plans
from blfs_mr.config import Config, load_config
from blfs_mr.errors import ConfigError

GIVEN = """
home = "/somewhere"
[cluster]
id = "lab"
attach = "given"
layout = "raw"
workers = [
  { name = "node-1", address = "node1.example", device = "/dev/own", peer_device = "/dev/one" },
  { name = "node-2", address = "node2.example", device = "/dev/own", peer_device = "/dev/two" },
]
[cluster.master_host]
name = "head"
address = "10.0.0.9"
[master]
port = 9000
worker_timeout = "10s"
[worker]
slots = 3
volume = "/not/for/hosts"
[logging]
level = "DEBUG"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.toml").write_text(GIVEN)
    return load_config(tmp_path / "config.toml", {})


def plans(config: Config) -> dict[str, HostPlan]:
    tls = lambda role, name, address: {"certificate.pem": f"{role} {name}"}  # noqa: E731
    names = (
        "blfs-mr.target",
        "open-iscsi.service.d/blfs-mr.conf",
        "sysusers.d/blfs-mr.conf",
        "tmpfiles.d/blfs-mr.conf",
    )
    units = dict.fromkeys(names, "")
    return host_plans(config, initiators={}, chap={}, secrets=["5ec4e7", "01d"], units=units, tls=tls)


def test_given_volumes_need_neither_target_nor_login(config: Config) -> None:
    plan = plans(config)["node-2"]
    assert plan.export is None
    assert plan.logins == ()
    assert plan.own is not None
    assert (plan.own.device, plan.own.mount) == ("/dev/own", "")
    assert [(peer.worker, peer.device, peer.mount) for peer in plan.peers] == [("node-1", "/dev/one", "")]


def test_a_master_of_its_own_has_no_volume(config: Config) -> None:
    plan = plans(config)["head"]
    assert (plan.runs_master, plan.runs_worker, plan.own, plan.peers) == (True, False, None, ())
    assert not plans(config)["node-1"].runs_master


def test_a_host_gets_what_the_operator_says_of_daemons(config: Config, tmp_path: Path) -> None:
    (text,) = [file.text for file in plans(config)["node-1"].files if file.path.endswith("config.toml")]
    (tmp_path / "host.toml").write_text(text.replace("10.0.0.9", "127.0.0.1"))
    host = load_config(tmp_path / "host.toml", {})
    assert host.master.port == 9000
    assert host.master.worker_timeout == 10
    assert host.worker.slots == 3
    assert host.worker.task_user == "blfs-mr-task"
    assert host.worker.layout == "raw"
    assert host.worker.device == "/dev/own"
    assert host.logging.level == "DEBUG"
    assert host.cluster.id == "lab"
    assert host.cluster.workers == ()
    assert str(host.secret_path) == "/etc/blfs-mr/secret"


def test_while_a_secret_is_rotated_the_master_alone_knows_the_old_one(config: Config) -> None:
    secrets = {
        name: file.text
        for name, plan in plans(config).items()
        for file in plan.files
        if file.path.endswith("/secret")
    }
    assert secrets == {"head": "5ec4e7\n01d\n", "node-1": "5ec4e7\n", "node-2": "5ec4e7\n"}


def test_a_daemon_has_a_certificate_of_its_role(config: Config) -> None:
    texts = {file.path: file.text for plan in plans(config).values() for file in plan.files}
    assert texts["/etc/blfs-mr/master-tls/certificate.pem"] == "master head"
    assert texts["/etc/blfs-mr/worker-tls/certificate.pem"] == "worker node-2"


def test_units_go_where_the_system_looks_for_them(config: Config) -> None:
    assert [unit.path for unit in plans(config)["head"].units] == [
        "/etc/systemd/system/blfs-mr.target",
        "/etc/systemd/system/open-iscsi.service.d/blfs-mr.conf",
        "/etc/sysusers.d/blfs-mr.conf",
        "/etc/tmpfiles.d/blfs-mr.conf",
    ]


def test_chap_credentials_are_made_once_for_each_worker(tmp_path: Path) -> None:
    path = tmp_path / "cluster" / "chap.json"
    first = load_or_create_chap(path, "lab", ["node-1", "node-2"])
    assert path.stat().st_mode & 0o777 == 0o600
    more = load_or_create_chap(path, "lab", ["node-1", "node-2", "node-3"])
    assert {name: more[name] for name in first} == first
    passwords = {chap.password for chap in more.values()}
    assert {len(password) for password in passwords} == {16}
    assert len(passwords) == 3
    assert not any(password in repr(more) for password in passwords)


@pytest.mark.parametrize("text", ["", "[]", '{"node-1": {}}'])
def test_broken_credentials_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "chap.json").write_text(text)
    with pytest.raises(ConfigError, match="no CHAP credentials of ours"):
        load_or_create_chap(tmp_path / "chap.json", "lab", ["node-1"])
