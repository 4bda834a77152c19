"""Mutual TLS 1.3 of the links to the master, and who a certificate says its holder is.

Both sides show a certificate of the cluster's own authority and ask the other for one. Names of hosts are not
compared with addresses, which change: a certificate says what its holder is in the cluster and how it is
called, and it is these that must fit. The secret
is proven inside all the same, so neither a leaked key nor a leaked secret is enough.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blfs_mr.errors import ConfigError, HandshakeRefused

AUTHORITY_FILE = "authority.pem"
"""In a folder of credentials: the authority to trust."""

REVOKED_FILE = "revoked.pem"
"""The authority's list of revoked certificates."""

CERTIFICATE_FILE, KEY_FILE = "certificate.pem", "certificate.key"
"""Who we are, and the proof of it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the authority says that the holder of a certificate is."""

    role: str
    name: str
    serial: int


def server_context(folder: Path) -> ssl.SSLContext:
    """What the master accepts connections with. Raises ConfigError with the file that is of no use."""
    return _context(ssl.PROTOCOL_TLS_SERVER, folder)


def client_context(folder: Path) -> ssl.SSLContext:
    """What workers and submitters connect with. Raises ConfigError with the file that is of no use."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, folder)


def identity_of(certificate: Mapping[str, Any] | None) -> Identity:
    """Whom a verified certificate, as ``getpeercert()`` shows it, belongs to. Raises HandshakeRefused."""
    certificate = certificate or {}
    subject = dict(pair for part in certificate.get("subject", ()) for pair in part)
    role, name = subject.get("organizationalUnitName"), subject.get("commonName")
    if not (role and name):
        raise HandshakeRefused("the certificate does not say whose it is: it was not made for a cluster")
    return Identity(role, name, int(certificate["serialNumber"], 16))


def check_master(certificate: Mapping[str, Any] | None) -> None:
    """Raise HandshakeRefused unless the certificate is that of a master."""
    found = identity_of(certificate)
    if found.role != "master":
        raise HandshakeRefused(
            f"what answers has the certificate of {found.role} {found.name}, not a master's"
        )


def check_peer(found: Identity, role: str, name: str) -> None:
    """Raise HandshakeRefused unless the certificate is one for who the peer says it is.

    A worker has the name of its certificate. Submitters are many processes with one certificate.
    """
    if found.role != role or (role != "client" and found.name != name):
        raise HandshakeRefused(f"the certificate is that of {found.role} {found.name}, not of {role} {name}")


def _context(protocol: int, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # Each connection proves itself: a resumed session would outlive the revocation of its certificate.
    context.options |= ssl.OP_NO_TICKET
    # Without the list every certificate would be refused, which is the right way to fail.
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    path = folder / AUTHORITY_FILE
    try:
        context.load_verify_locations(path)
        path = folder / REVOKED_FILE
        context.load_verify_locations(path)
        path = folder / CERTIFICATE_FILE
        context.load_cert_chain(path, folder / KEY_FILE, password=_no_passphrase)
    except ssl.SSLError as error:
        raise ConfigError(f"{path}: of no use for TLS: {error.reason or error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read for TLS: {error.strerror}") from error
    return context


def _no_passphrase() -> str:
    # Without it, a daemon would ask on its terminal.
    raise ssl.SSLError("the key has a passphrase, which nobody is there to give")
