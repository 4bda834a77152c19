"""The cluster's certificate authority: who a host or a submitter is, proven to the others by a certificate.

A certificate names its holder (common name) and what it may be (organizational unit: ``master``, ``worker``
or ``client``); the extended key usage lets a master alone serve, and the others alone connect. The authority
is a folder on the operator's side with a private key, its own certificate, all that it issued, and the list
of what it has revoked. Keys are written with mode 0600 and never leave their file but to the host that
they are for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from blfs_mr.atomic_files import replace_file
from blfs_mr.errors import ConfigError

CertificateRole = Literal["master", "worker", "client"]

AUTHORITY_FILE, KEY_FILE, REVOKED_FILE, ISSUED_FOLDER = (
    "authority.pem",
    "authority.key",
    "revoked.pem",
    "issued",
)

AUTHORITY_DAYS, CERTIFICATE_DAYS = 3650, 825
"""Days until an authority, and a certificate of it, expire. ``cluster rotate`` makes new ones before."""

_SKEW = timedelta(minutes=10)
"""Certificates are valid from so long before they were made, since clocks of hosts differ."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority in ``folder``: made by :func:`make_authority`, found by :func:`load_authority`."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        """Its certificate, which everybody of the cluster is given."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def revoked(self) -> bytes:
        """The list of revoked certificates, PEM, as it stands now."""
        return _read(self.folder / REVOKED_FILE)


def make_authority(folder: Path, cluster: str, *, days: int = AUTHORITY_DAYS) -> Authority:
    """A new authority for ``cluster`` in ``folder``. Raises ConfigError where there is one already."""
    if (folder / KEY_FILE).exists():
        raise ConfigError(f"{folder}: there is an authority already; load it, or move the folder away")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"blfs-mr authority {cluster}"[:64])])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority = Authority(folder, certificate, key)
    write_certificate(folder / AUTHORITY_FILE, authority.pem)
    _write_revoked(authority, [])
    # Last: with the key, the authority is whole.
    write_key(folder / KEY_FILE, _key_pem(key))
    return authority


def load_authority(folder: Path) -> Authority:
    """The authority in ``folder``. Raises ConfigError where there is none, or it cannot be used."""
    certificate = _certificate(folder / AUTHORITY_FILE)
    try:
        key = serialization.load_pem_private_key(_read(folder / KEY_FILE), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{folder / KEY_FILE}: no private key without a passphrase: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError(f"{folder / KEY_FILE}: it is not the key of {AUTHORITY_FILE} beside it")
    return Authority(folder, certificate, key)


def issue(
    authority: Authority,
    name: str,
    addresses: Sequence[str],
    role: CertificateRole,
    *,
    days: int = CERTIFICATE_DAYS,
) -> Credential:
    """A new certificate for ``name``, which is reached at ``addresses`` (IP addresses or host names).

    ``days`` may be negative, for a certificate that has expired. A copy of it stands in the authority's
    folder, so that :func:`revoke` finds it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role),
        ]
    )
    usage = ExtendedKeyUsageOID.SERVER_AUTH if role == "master" else ExtendedKeyUsageOID.CLIENT_AUTH
    issuer = authority.certificate.subject
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(subject, issuer, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(authority_key, critical=False)
    )
    if addresses:
        names = x509.SubjectAlternativeName([_general_name(address) for address in addresses])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    write_certificate(authority.folder / ISSUED_FOLDER / f"{certificate.serial_number:x}.pem", pem)
    return Credential(pem, _key_pem(key))


def revoke(authority: Authority, name: str, *, keep: Sequence[bytes] = ()) -> int:
    """Revoke all certificates of ``name`` but those of ``keep`` (PEM); how many were not revoked before."""
    kept = {x509.load_pem_x509_certificate(pem).serial_number for pem in keep}
    revoked = revoked_serials(authority.folder / REVOKED_FILE)
    found = set()
    for path in (authority.folder / ISSUED_FOLDER).glob("*.pem"):
        certificate = _certificate(path)
        if _common_name(certificate) == name and certificate.serial_number not in kept:
            found.add(certificate.serial_number)
    _write_revoked(authority, sorted(revoked | found))
    return len(found - revoked)


def revoked_serials(path: Path) -> frozenset[int]:
    """The serial numbers in the list at ``path``. Raises ConfigError."""
    try:
        return frozenset(entry.serial_number for entry in x509.load_pem_x509_crl(_read(path)))
    except ValueError as error:
        raise ConfigError(f"{path}: no list of revoked certificates (PEM): {error}") from error


def expires(certificate: bytes) -> datetime:
    """When a certificate (PEM) expires, in UTC. Raises ConfigError."""
    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError as error:
        raise ConfigError(f"no certificate (PEM): {error}") from error


def write_credential(credential: Credential, certificate: Path, key: Path) -> None:
    """Write both files; the key last, with mode 0600. Raises ConfigError."""
    write_certificate(certificate, credential.certificate)
    write_key(key, credential.key)


def write_certificate(path: Path, pem: bytes) -> None:
    """Write what everybody may read, in one step. Raises ConfigError."""
    _write(path, pem, 0o644)


def write_key(path: Path, pem: bytes) -> None:
    """Write what its owner alone may read, in one step. Raises ConfigError."""
    _write(path, pem, 0o600)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    end = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) - _SKEW)
        .not_valid_after(end)
    )


def _write_revoked(authority: Authority, serials: Sequence[int]) -> None:
    now = datetime.now(UTC)
    # The list is as good as its file: it is not fetched from anywhere, so it does not go stale by age.
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - _SKEW)
        .next_update(authority.certificate.not_valid_after_utc)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = builder.add_revoked_certificate(entry)
    crl = builder.sign(authority.key, hashes.SHA256())
    write_certificate(authority.folder / REVOKED_FILE, crl.public_bytes(serialization.Encoding.PEM))


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _common_name(certificate: x509.Certificate) -> str:
    attribute = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute[0].value) if attribute else ""


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError as error:
        raise ConfigError(f"{path}: no certificate (PEM): {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _write(path: Path, contents: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, contents, mode)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
