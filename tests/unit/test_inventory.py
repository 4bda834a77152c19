"""The inventory: what a file may say about hosts, and that all mistakes are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.config import load_config
from blfs_mr.errors import ConfigError
from blfs_mr.inventory import ClusterSection

THREE = """
[cluster]
id = "lab"
workers = [
  { name = "node-1", address = "10.0.0.11", device = "/dev/vdb" },
  { name = "node-2", address = "10.0.0.12", device = "/dev/vdb" },
  { name = "node-3", address = "10.0.0.13", device = "/dev/vdb" },
]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def load(folder: Path, text: str) -> ClusterSection:
    path = folder / "config.toml"
    path.write_text(text)
    return load_config(path, {"HOME": "/home/ada"}).cluster


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [line.removeprefix(f"{folder / 'config.toml'}: ") for line in str(caught.value).splitlines()]


def test_ten_lines_describe_a_cluster(folder: Path) -> None:
    cluster = load(folder, THREE)
    assert [host.name for host in cluster.hosts] == ["node-1", "node-2", "node-3"]
    assert cluster.master_section.name == "node-1"
    assert cluster.attach == "lio"


def test_the_master_comes_first_wherever_it_stands(folder: Path) -> None:
    cluster = load(folder, THREE.replace('id = "lab"', 'id = "lab"\nmaster = "node-3"'))
    assert [host.name for host in cluster.hosts] == ["node-3", "node-1", "node-2"]


def test_a_master_can_have_a_host_of_its_own(folder: Path) -> None:
    cluster = load(folder, THREE + '[cluster.master_host]\nname = "head"\naddress = "10.0.0.1"\n')
    assert [host.name for host in cluster.hosts] == ["head", "node-1", "node-2", "node-3"]


def test_given_volumes_are_seen_at_a_path_of_their_own_on_each_host(folder: Path) -> None:
    cluster = load(
        folder,
        """
        [cluster]
        attach = "given"
        [[cluster.workers]]
        name = "node_1"
        address = "10.0.0.1"
        device = "/dev/mapper/own"
        peer_device = "/dev/mapper/one"
        [[cluster.workers]]
        name = "node_2"
        address = "node2.example"
        device = "/dev/mapper/own"
        peer_device = "/dev/mapper/two"
        peer_devices = { node_1 = "/dev/sdq" }
        """,
    )
    one, two = cluster.workers
    assert cluster.peer_path(one, two) == "/dev/mapper/two"
    assert cluster.peer_path(two, one) == "/dev/sdq"


def test_all_mistakes_of_values_and_between_them_are_told_at_once(folder: Path) -> None:
    told = mistakes(
        folder,
        """
        [cluster]
        master = "node-9"
        layout = "heap"
        shared_files = 0
        sharedfiles = "/etc/sharedfiles"
        volume_gid = "many"
        workers = [
          { name = "node-1", address = "10.0.0.11", device = "sdb" },
          { name = "node-1", address = "10.0.0.11", device = "/dev/sdb", host_key = "MD5:00" },
          { name = "Node_3", adress = "10.0.0.13", device = "/dev/sdb" },
          { name = "node-4", address = "four.example", device = "/dev/sdb", peer_device = "/dev/sdx" },
        ]
        """,
    )
    expected = [
        '2 hosts have name = "node-1"',
        'node-1 and node-1 have address = "10.0.0.11"',
        'cluster.master = "node-9" is no worker\'s name',
        "cluster.sharedfiles stands instead of",
        'the name "Node_3" cannot be part of an iSCSI name',
        'node-4 has address = "four.example"',
        'peer_device of node-4 is for attach = "given"',
        'cluster.layout = "heap"; allowed: "file" or "raw"',
        "cluster.shared_files = 0; allowed: 1 to 100000",
        'cluster.volume_gid = "many"',
        'cluster.workers.0.device = "sdb"; allowed: a path in /dev',
        'cluster.workers.1.host_key = "MD5:00"; allowed: the fingerprint',
        'cluster.workers.2.adress = "10.0.0.13": unknown key; did you mean cluster.workers.address?',
        "cluster.workers.2.address = ",
    ]
    for text in expected:
        assert any(text in line for line in told), (text, told)
    assert len(told) == len(expected)


def test_a_given_volume_that_a_peer_cannot_find_is_told(folder: Path) -> None:
    told = mistakes(
        folder,
        """
        [cluster]
        attach = "given"
        [[cluster.workers]]
        name = "node-1"
        address = "10.0.0.11"
        device = "/dev/a"
        [[cluster.workers]]
        name = "node-2"
        address = "10.0.0.12"
        device = "/dev/b"
        peer_devices = { node-1 = "sdq", node-7 = "/dev/c" }
        """,
    )
    assert len(told) == 3
    assert "node-1 has no path of the volume of node-2" in "\n".join(told)
    assert "node-7, which is no worker" in "\n".join(told)
    assert "node-1 = 'sdq'" in "\n".join(told)


@pytest.mark.parametrize("section", ["cluster = 3", "[cluster]\nworkers = 3", "[cluster]\nworkers = [3]"])
def test_a_section_of_a_wrong_shape_is_told_as_that(folder: Path, section: str) -> None:
    assert len(mistakes(folder, section)) == 1
