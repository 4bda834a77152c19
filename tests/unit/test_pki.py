"""The certificate authority: what it issues, revokes, and leaves on disk."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from blfs_mr import pki
from blfs_mr.errors import ConfigError


@pytest.fixture
def authority(tmp_path: Path) -> pki.Authority:
    return pki.make_authority(tmp_path / "authority", "test")


def test_keys_are_for_their_owner_alone(authority: pki.Authority, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        credential = pki.issue(authority, "worker-0", ["127.0.0.1"], "worker")
        pki.write_credential(credential, tmp_path / "worker.pem", tmp_path / "worker.key")
    finally:
        os.umask(before)
    for path in (authority.folder / pki.KEY_FILE, tmp_path / "worker.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE" not in repr(credential)


def test_what_was_made_can_be_loaded(authority: pki.Authority) -> None:
    loaded = pki.load_authority(authority.folder)
    assert loaded.pem == authority.pem
    assert pki.issue(loaded, "worker-0", [], "worker").certificate.startswith(b"-----BEGIN CERTIFICATE")


def test_an_authority_is_not_made_over_another(authority: pki.Authority) -> None:
    with pytest.raises(ConfigError, match="authority already"):
        pki.make_authority(authority.folder, "test")


def test_a_certificate_has_name_role_and_addresses(authority: pki.Authority) -> None:
    credential = pki.issue(authority, "node-1", ["192.0.2.1", "node-1.example"], "master")
    certificate = x509.load_pem_x509_certificate(credential.certificate)
    assert certificate.subject.rfc4514_string() == "OU=master,CN=node-1"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    assert names.get_values_for_type(x509.DNSName) == ["node-1.example"]


def test_expiry_is_what_was_asked_for(authority: pki.Authority) -> None:
    credential = pki.issue(authority, "worker-0", [], "worker", days=10)
    left = pki.expires(credential.certificate) - datetime.now(UTC)
    assert timedelta(days=9) < left <= timedelta(days=10)


def test_revoking_a_name_lists_all_its_certificates_but_those_kept(authority: pki.Authority) -> None:
    old, new = (pki.issue(authority, "worker-0", [], "worker") for _ in range(2))
    other = pki.issue(authority, "worker-1", [], "worker")
    assert pki.revoke(authority, "worker-0", keep=[new.certificate]) == 1
    assert pki.revoke(authority, "worker-0", keep=[new.certificate]) == 0
    assert pki.revoked_serials(authority.folder / pki.REVOKED_FILE) == {_serial(old)}
    assert pki.revoke(authority, "worker-0") == 1
    assert _serial(other) not in pki.revoked_serials(authority.folder / pki.REVOKED_FILE)
    assert pki.revoke(authority, "nobody") == 0


def test_files_that_are_none_of_ours_are_told_by_name(authority: pki.Authority, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        pki.load_authority(tmp_path / "nowhere")
    stranger = pki.make_authority(tmp_path / "stranger", "test")
    (authority.folder / pki.KEY_FILE).write_bytes((stranger.folder / pki.KEY_FILE).read_bytes())
    with pytest.raises(ConfigError, match="not the key of"):
        pki.load_authority(authority.folder)
    (authority.folder / pki.KEY_FILE).write_bytes(b"garbage")
    with pytest.raises(ConfigError, match="no private key"):
        pki.load_authority(authority.folder)
    (authority.folder / pki.AUTHORITY_FILE).write_bytes(b"garbage")
    with pytest.raises(ConfigError, match="no certificate"):
        pki.load_authority(authority.folder)
    (tmp_path / "list").write_bytes(b"garbage")
    with pytest.raises(ConfigError, match="no list of revoked"):
        pki.revoked_serials(tmp_path / "list")


def _serial(credential: pki.Credential) -> int:
    return x509.load_pem_x509_certificate(credential.certificate).serial_number
