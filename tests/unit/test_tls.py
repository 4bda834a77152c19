"""Whom a certificate is taken for, and files that are of no use."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.errors import ConfigError, HandshakeRefused
from blfs_mr.pki import issue, make_authority, write_credential
from blfs_mr.tls import (
    AUTHORITY_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    REVOKED_FILE,
    Identity,
    check_master,
    check_peer,
    identity_of,
    server_context,
)

WORKER = {
    "subject": ((("commonName", "node-1"),), (("organizationalUnitName", "worker"),)),
    "serialNumber": "1F",
}


def test_a_certificate_tells_role_name_and_serial_number() -> None:
    assert identity_of(WORKER) == Identity("worker", "node-1", 31)
    for nobody in (None, {}, {"subject": ((("commonName", "node-1"),),), "serialNumber": "1F"}):
        with pytest.raises(HandshakeRefused, match="does not say whose it is"):
            identity_of(nobody)


def test_a_peer_is_who_its_certificate_says() -> None:
    check_peer(identity_of(WORKER), "worker", "node-1")
    check_peer(Identity("client", "ada", 1), "client", "laptop-4711")
    for role, name in (("worker", "node-2"), ("client", "node-1")):
        with pytest.raises(HandshakeRefused, match="certificate is that of worker node-1"):
            check_peer(identity_of(WORKER), role, name)
    with pytest.raises(HandshakeRefused, match="certificate of worker node-1, not a master's"):
        check_master(WORKER)


def test_a_file_of_no_use_is_named(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "authority", "lab")
    folder = tmp_path / "master"
    write_credential(issue(authority, "master", [], "master"), folder / CERTIFICATE_FILE, folder / KEY_FILE)
    (folder / AUTHORITY_FILE).write_bytes(authority.pem)
    with pytest.raises(ConfigError, match=f"{REVOKED_FILE}: cannot be read"):
        server_context(folder)
    (folder / REVOKED_FILE).write_text("nothing")
    with pytest.raises(ConfigError, match=f"{REVOKED_FILE}: of no use"):
        server_context(folder)
    (folder / REVOKED_FILE).write_bytes(authority.revoked)
    server_context(folder)
    (folder / KEY_FILE).write_text("nothing")
    with pytest.raises(ConfigError, match=f"{CERTIFICATE_FILE}: of no use"):
        server_context(folder)
