"""The certificates of a cluster as its operator keeps them: made once, and again when they are rotated.

Below the operator's ``home``, in ``cluster/ID``: ``authority/`` with the authority, and ``issued/`` with what
each daemon and submitter was given last, by role and name. An init that is repeated brings the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from blfs_mr.errors import ConfigError
from blfs_mr.pki import (
    KEY_FILE,
    Authority,
    CertificateRole,
    Credential,
    expires,
    issue,
    load_authority,
    make_authority,
    revoke,
    write_certificate,
    write_key,
)

RENEWED_BEFORE = timedelta(days=60)
"""A certificate that expires so soon is made anew by any init."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The authority of ``cluster``, and what it issued, in ``folder``."""

    folder: Path
    authority: Authority

    @property
    def trusted(self) -> dict[str, str]:
        """What everybody of the cluster is given: file names and texts."""
        return {
            "authority.pem": self.authority.pem.decode("ascii"),
            "revoked.pem": self.authority.revoked.decode("ascii"),
        }

    def credential(
        self, role: CertificateRole, name: str, address: str, *, renew: bool = False
    ) -> Credential:
        """The present credential of ``name``, made where there is none or ``renew`` asks; ConfigError."""
        path = self.folder / f"{role}-{name}.pem"
        if not renew and path.exists():
            present = _read(path)
            if expires(present.certificate) - datetime.now(UTC) > RENEWED_BEFORE:
                return present
        made = issue(self.authority, name, [address] if address else [], role)
        # One file, so that certificate and key are of one another whatever happens meanwhile.
        write_key(path, made.certificate + made.key)
        return made

    def forget(self, name: str) -> bool:
        """Revoke all that ``name`` was ever given; whether there was anything. Raises ConfigError."""
        for role in get_args(CertificateRole):
            (self.folder / f"{role}-{name}.pem").unlink(missing_ok=True)
        return revoke(self.authority, name) > 0


def _read(path: Path) -> Credential:
    try:
        certificate, mark, key = path.read_bytes().partition(b"-----BEGIN PRIVATE KEY-----")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return Credential(certificate, mark + key)


def operator_certificates(folder: Path, cluster: str) -> Certificates:
    """The certificates of ``cluster`` in ``folder``, with a new authority where there is none."""
    authority = folder / "authority"
    made = (authority / KEY_FILE).exists()
    return Certificates(
        folder / "issued", load_authority(authority) if made else make_authority(authority, cluster)
    )


def file_texts(certificates: Certificates, credential: Credential) -> dict[str, str]:
    """A folder of credentials: file names and texts, the key among them."""
    return {
        **certificates.trusted,
        "certificate.pem": credential.certificate.decode("ascii"),
        "certificate.key": credential.key.decode("ascii"),
    }


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Make ``folder`` one of credentials with these ``texts``, the key with mode 0600. Raises ConfigError."""
    for file, text in texts.items():
        write = write_key if file.endswith(".key") else write_certificate
        write(folder / file, text.encode("ascii"))


TLS_FILES = ("authority.pem", "revoked.pem", "certificate.pem", "certificate.key")
"""The names that :func:`file_texts` gives."""
