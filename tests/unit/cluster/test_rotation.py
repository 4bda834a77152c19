"""New secrets and certificates: nobody is locked out on the way, and who is cut off stays out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blfs_mr.client_config import load_client_config
from blfs_mr.cluster.certificates import operator_certificates
from blfs_mr.pki import revoked_serials
from blfs_mr.secret import load_or_create_secrets, rotate_secret
from blfs_mr.tls import client_context
from tests.unit.cluster.simulation import SimulatedCluster, simulated_cluster


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[SimulatedCluster]:
    async with simulated_cluster(tmp_path, 2) as cluster:
        await cluster.done("init")
        for shell in cluster.shells.values():
            shell.secrets.clear()
        yield cluster


def certificate(cluster: SimulatedCluster, name: str, role: str) -> str:
    plan = cluster.shells[name].plan
    assert plan is not None
    (text,) = [file.text for file in plan.files if file.path.endswith(f"{role}-tls/certificate.pem")]
    return text


async def test_the_master_admits_the_new_secret_before_anybody_has_it_and_the_old_until_all_have(
    cluster: SimulatedCluster, tmp_path: Path
) -> None:
    path = tmp_path / "home" / "secret"
    (old,) = load_or_create_secrets(path)
    await cluster.done("rotate")
    (new,) = load_or_create_secrets(path)
    assert new != old
    both = f"{new.hex()}\n{old.hex()}\n"
    assert cluster.shells["node-1"].secrets == [both, both, f"{new.hex()}\n"]
    assert cluster.shells["node-2"].secrets == [f"{new.hex()}\n"]


async def test_a_rotation_that_was_cut_short_is_finished_with_the_same_secret(
    cluster: SimulatedCluster, tmp_path: Path
) -> None:
    path = tmp_path / "home" / "secret"
    rotate_secret(path)
    begun = load_or_create_secrets(path)
    assert len(begun) == 2
    cluster.shells["node-2"].refuse_step = "the configuration"
    await cluster.refused("rotate")
    assert load_or_create_secrets(path) == begun
    cluster.shells["node-2"].refuse_step = ""
    await cluster.done("rotate")
    assert load_or_create_secrets(path) == begun[:1]


async def test_certificates_stay_until_they_are_rotated(cluster: SimulatedCluster) -> None:
    before = [certificate(cluster, "node-1", "master"), certificate(cluster, "node-2", "worker")]
    await cluster.done("init")
    assert before == [certificate(cluster, "node-1", "master"), certificate(cluster, "node-2", "worker")]
    await cluster.done("rotate")
    assert certificate(cluster, "node-1", "master") != before[0]
    assert certificate(cluster, "node-2", "worker") != before[1]


async def test_a_submitter_elsewhere_gets_all_it_needs(cluster: SimulatedCluster, tmp_path: Path) -> None:
    bundle = tmp_path / "ada"
    await cluster.done("credentials", "ada", "-o", str(bundle))
    found = load_client_config(bundle / "config.toml", {"HOME": str(tmp_path)})
    assert found.cluster == "lab"
    assert found.tls_folder == bundle
    assert found.secret_path == bundle / "secret"
    client_context(bundle)
    assert {path.name: path.stat().st_mode & 0o077 for path in bundle.iterdir()} == {
        "authority.pem": 0o044,
        "revoked.pem": 0o044,
        "certificate.pem": 0o044,
        "certificate.key": 0,
        "secret": 0,
        "config.toml": 0o044,
    }
    assert "exists already" in await cluster.refused("credentials", "ada", "-o", str(bundle))
    assert "is a host" in await cluster.refused("credentials", "node-2", "-o", str(tmp_path / "other"))


async def test_who_is_revoked_is_on_the_list_that_the_master_gets(
    cluster: SimulatedCluster, tmp_path: Path
) -> None:
    await cluster.done("credentials", "ada", "-o", str(tmp_path / "ada"))
    await cluster.done("revoke", "ada")
    plan = cluster.shells["node-1"].plan
    assert plan is not None
    (text,) = [file.text for file in plan.files if file.path.endswith("master-tls/revoked.pem")]
    (tmp_path / "list.pem").write_text(text)
    assert len(revoked_serials(tmp_path / "list.pem")) == 1
    assert "nothing was ever issued to ada" in await cluster.refused("revoke", "ada")


async def test_a_removed_host_is_cut_off(cluster: SimulatedCluster, tmp_path: Path) -> None:
    await cluster.done("remove", "node-2")
    certificates = operator_certificates(tmp_path / "home" / "cluster" / "lab", "lab")
    assert len(revoked_serials(certificates.authority.folder / "revoked.pem")) == 1


async def test_the_operator_submits_with_the_file_that_describes_the_cluster(
    cluster: SimulatedCluster, tmp_path: Path
) -> None:
    text = cluster.config.read_text().replace('address = "127.0.0.1"', 'address = "10.9.8.7"')
    cluster.config.write_text(text)
    found = load_client_config(cluster.config, {})
    assert found.master == "10.9.8.7:7070"
    assert found.secret_path == tmp_path / "home" / "secret"
    assert found.tls_folder is not None
    client_context(found.tls_folder)
