"""config.toml, the models and what is said of a file that cannot be used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from blfs_mr.client_config import load_client_config, parse_address
from blfs_mr.config import Config, load_config
from blfs_mr.errors import ConfigError

ENVIRONMENT = {"HOME": "/home/ada"}
SHIPPED = Path(__file__).parents[2] / "config.toml"


def load(folder: Path, text: str, environment: dict[str, str] = ENVIRONMENT) -> Config:
    path = folder / "config.toml"
    path.write_text(text)
    return load_config(path, environment)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return str(caught.value).splitlines()


def dotted(table: dict[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for name, value in table.items():
        keys += dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]
    return keys


def shipped_with_computed_defaults_stated() -> str:
    return re.sub(r"^# (\w+ = )", r"\1", SHIPPED.read_text(), flags=re.MULTILINE)


def test_the_shipped_file_states_the_built_in_defaults() -> None:
    assert load_config(SHIPPED, ENVIRONMENT) == load_config(None, ENVIRONMENT)


def test_the_shipped_file_has_every_key_and_no_other() -> None:
    stated = dotted(tomllib.loads(shipped_with_computed_defaults_stated()))
    # What is a device, a file or a list of hosts has no default that could be stated: the file explains it.
    keys = set(dotted(load_config(None, ENVIRONMENT).model_dump()))
    assert set(stated) <= keys
    unstated = keys - set(stated)
    assert unstated == {
        *("worker.device", "worker.peers", "cluster.workers", "cluster.master_host", "cluster.sharedfiles"),
        *("cluster.packages", "cluster.wheels", "tls.folder", "cluster.ssh.key", "cluster.ssh.known_hosts"),
    }
    for key in unstated:
        name = re.escape(key.rpartition(".")[2])
        assert re.search(rf"^#     (\[+[a-z.]*{name}\]+$|{name} = )", SHIPPED.read_text(), re.M), key


def test_volumes_on_devices_are_named_with_those_of_peers(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [worker]
        layout = "file"
        volume = "/srv/volumes/{name}"
        device = "/dev/disk/by-id/{name}"
        [[worker.peers]]
        name = "node-2"
        device = "/dev/sdb"
        mount = "/srv/volumes/node-2"
        [[worker.peers]]
        name = "node-3"
        device = "/dev/sdc"
        """,
    )
    folders = config.worker_folders("node-1")
    assert (str(folders.volume), folders.device) == ("/srv/volumes/node-1", "/dev/disk/by-id/node-1")
    assert [(peer.name, peer.device, peer.mount) for peer in config.worker.peers] == [
        ("node-2", "/dev/sdb", "/srv/volumes/node-2"),
        ("node-3", "/dev/sdc", ""),
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("layout = 'raw'", "worker.device = None (the default): the layout raw needs one"),
        ("device = '/dev/sdb'", 'worker.device = "/dev/sdb": a directory volume has no device'),
        ("layout = 'raw'\ndevice = 'sdb'", 'worker.device = "sdb": a relative path'),
        ("layout = 'tape'", 'worker.layout = "tape"; allowed: "directory", "file" or "raw"'),
        ("[[worker.peers]]\nname = 'a'", "worker.peers.0.device"),
        ("[[worker.peers]]\nname = 'a'\ndevice = 'sdb'", "allowed: the block device of that volume"),
        ("[[worker.peers]]\nname = 'a'\ndevice = '/b'\nmoun = '/c'", "did you mean worker.peers.mount?"),
        ("peers = 3", "worker.peers = 3; allowed: tables [[worker.peers]]"),
    ],
)
def test_a_volume_that_cannot_be_is_told_by_its_key(tmp_path: Path, text: str, part: str) -> None:
    assert part in "\n".join(problems(tmp_path, f"[worker]\n{text}"))


def test_the_shipped_file_states_computed_defaults_as_they_are_computed(tmp_path: Path) -> None:
    stated = load(tmp_path, shipped_with_computed_defaults_stated())
    computed = load_config(None, ENVIRONMENT)
    assert (stated.home, stated.embedded) == (computed.home, computed.embedded)


def test_the_values_of_a_file_are_bytes_and_seconds_in_the_configuration(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [master]
        heartbeat_interval = "250ms"
        no_worker_deadline = "2min"
        [worker]
        slots = 3
        shared_file_size = "4MiB"
        """,
    )
    assert config.master.heartbeat_interval == 0.25
    assert config.master.no_worker_deadline == 120.0
    assert config.worker.slot_count == 3
    assert config.worker.shared_file_size == 4 * 1024 * 1024
    assert config.worker.shared_files == 64


def test_the_environment_names_the_file_where_no_option_does(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text('[cluster]\nid = "one"')
    other.write_text('[cluster]\nid = "other"')
    environment = ENVIRONMENT | {"BLFS_MR_CONFIG": str(one)}
    assert load_config(None, environment).cluster.id == "one"
    assert load_config(other, environment).cluster.id == "other"


def test_home_and_scratch_follow_the_environment() -> None:
    config = load_config(None, ENVIRONMENT)
    assert config.home == Path("/home/ada/.local/state/blfs-mr")
    assert config.embedded.scratch == Path("/tmp")
    config = load_config(None, ENVIRONMENT | {"XDG_STATE_HOME": "/state", "TMPDIR": "/fast"})
    assert config.home == Path("/state/blfs-mr")
    assert config.embedded.scratch == Path("/fast")


def test_relative_folders_in_the_environment_are_ignored() -> None:
    config = load_config(None, ENVIRONMENT | {"XDG_STATE_HOME": "state", "TMPDIR": "tmp"})
    assert config == load_config(None, ENVIRONMENT)


def test_the_file_wins_over_the_environment(tmp_path: Path) -> None:
    text = 'home = "~/mr"\n[embedded]\nscratch = "/scratch"'
    config = load(tmp_path, text, ENVIRONMENT | {"XDG_STATE_HOME": "/state", "TMPDIR": "/fast"})
    assert config.home == Path("/home/ada/mr")
    assert config.embedded.scratch == Path("/scratch")


def test_folders_stand_under_home_and_have_the_workers_name(tmp_path: Path) -> None:
    config = load(tmp_path, 'home = "/mr"\n[worker]\nscratch = "/fast/{name}/scratch"\noutput = "/out"')
    folders = config.worker_folders("worker-1")
    assert config.secret_path == Path("/mr/secret")
    assert folders.volume == Path("/mr/volumes/worker-1")
    assert folders.scratch == Path("/fast/worker-1/scratch")
    assert folders.output == Path("/out")


@pytest.mark.parametrize("name", ["", "../other", "a/b", "a b", "x" * 65, "a\n"])
def test_a_name_that_could_leave_its_folder_is_no_workers_name(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a worker's name"):
        load_config(None, ENVIRONMENT).worker_folders(name)


def test_every_problem_is_told_at_once_with_file_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    told = problems(tmp_path, '[master]\nport = "7070"\n[worker]\nslots = 0\n[job]\nmemory = "3s"')
    assert [line.partition(" = ")[0] for line in told] == [
        f"{tmp_path}/config.toml: {key}" for key in ("master.port", "worker.slots", "job.memory")
    ]
    assert '"7070"; allowed: 0 to 65535' in told[0]
    assert "0; allowed: 1 to 4096" in told[1]
    assert '"3s"' in told[2]
    assert 'a size from "32MiB" to "1TiB"' in told[2]


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("[master]\nprot = 1", "master.port"),
        ("secrt_file = 1", "secret_file"),
        ("[loging]\nlevel = 1", "logging"),
        ("slots = 1", "worker.slots"),
        ("[job]\nshared_file = 1", "worker.shared_files"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    tmp_path: Path, text: str, suggested: str
) -> None:
    (told,) = problems(tmp_path, text)
    assert f"unknown key; did you mean {suggested}?" in told


def test_an_unknown_key_that_is_near_to_none_is_refused_with_the_keys_of_its_section(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "[embedded]\nqqqq = 1")
    assert told.endswith("embedded.qqqq = 1: unknown key; allowed in [embedded]: workers, scratch")


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "2001:db8::1"])
def test_an_address_other_than_loopback_is_refused_for_want_of_encryption(tmp_path: Path, host: str) -> None:
    (told,) = problems(tmp_path, f'[master]\nhost = "{host}"')
    assert "links are encrypted only with tls.folder" in told
    both = load(tmp_path, f'[master]\nhost = "{host}"\n[tls]\nfolder = "{{home}}/tls"')
    assert both.tls_folder == both.home / "tls"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_in_all_its_spellings_is_served(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f'[master]\nhost = "{host}"').master.host == host


def test_a_host_name_is_no_address(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, '[master]\nhost = "node-1"')
    assert 'master.host = "node-1": it is no IP address' in told


def test_a_worker_timeout_below_two_heartbeat_intervals_is_refused(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, '[master]\nheartbeat_interval = "3s"')
    assert "master.worker_timeout = 5.0 (the default): " in told
    assert "two heartbeat intervals are 6s" in told


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('home = "relative"', "home"),
        ('home = "~bob/x"', "home"),
        ("home = 1", "home"),
        ("master = 1", "master"),
        ('secret_file = "/x/{name}"', "secret_file"),
        ('[cluster]\nid = "a b"', "cluster.id"),
        ("[master]\nport = 65536", "master.port"),
        ("[master]\nport = true", "master.port"),
        ('[master]\nworker_timeout = "1MiB"', "master.worker_timeout"),
        ("[master]\nno_worker_deadline = inf", "master.no_worker_deadline"),
        ('[worker]\nvolume = "{home}/{host}"', "worker.volume"),
        ('[worker]\nvolume = "/mnt/{name"', "worker.volume"),
        ('[worker]\nshared_file_size = "65537"', "worker.shared_file_size"),
        ("[worker]\nslots = 1.5", "worker.slots"),
        ('[job]\nblock_size = "8MiB"', "job.block_size"),
        ('[embedded]\nscratch = "{home}/x"', "embedded.scratch"),
        ('[logging]\nlevel = "debug"', "logging.level"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_key(tmp_path: Path, text: str, key: str) -> None:
    (told,) = problems(tmp_path, text)
    assert told.startswith(f"{tmp_path}/config.toml: {key} = ")
    assert "; allowed: " in told


def test_a_long_value_is_shown_shortened(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, f'home = "{"x" * 5000}"')
    assert len(told) < 500


@pytest.mark.parametrize("content", [b"[master", b"a = 1\na = 2", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml: not valid TOML"):
        load_config(path, ENVIRONMENT)


def test_a_file_that_is_missing_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file"):
        load_config(tmp_path / "absent.toml", ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:7070", ("localhost", 7070)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "localhost", "localhost:", ":7070", "h:0", "h:65536", "h:x", "h:-1", "h:²"]
)
def test_what_lacks_host_or_port_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError, match="give HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'home = "/var/lib/blfs"',
        'home = "~/state"\nsecret_file = "{home}/key"',
        'secret_file = "/etc/blfs/secret"\n[cluster]\nid = "lab-2"',
        '[cluster]\nid = "lab-2"\n[master]\nport = 7071',
    ],
)
def test_a_submitter_reads_the_same_cluster_and_secret_as_the_daemons(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    environment = {"HOME": "/home/ada", "XDG_STATE_HOME": "/home/ada/.state"}
    for source in (path, None):
        config = load_config(source, environment)
        client = load_client_config(source, environment)
        assert (client.cluster, client.secret_path) == (config.cluster.id, config.secret_path)


@pytest.mark.parametrize(
    "text", ["secret_file = 1", "cluster = 3", "[cluster]\nid = []", "home = true", "x = "]
)
def test_a_submitter_refuses_values_that_are_of_no_use_to_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load_client_config(path, {"HOME": "/home/ada"})
