"""Links with TLS: who gets in, who does not, and that credentials change while jobs run."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from blfs_mr.blocking_link import dial
from blfs_mr.errors import BlfsMrError, HandshakeRefused, LinkClosed
from blfs_mr.pki import CertificateRole, Credential, issue, make_authority, revoke, write_credential
from blfs_mr.secret import load_or_create_secret, retire_old_secret, rotate_secret
from blfs_mr.submission.client import Client, read_secret
from blfs_mr.tls import (
    AUTHORITY_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    REVOKED_FILE,
    server_context,
)
from tests.integration.harness import (
    WORDCOUNT,
    Daemons,
    HeldJob,
    Stage,
    lines_of,
    running_daemons,
    wait_for,
)

CLUSTER = "integration"
ROLES: dict[str, CertificateRole] = {
    "master": "master",
    "worker-0": "worker",
    "worker-1": "worker",
    "client": "client",
}


class Credentials:
    """An authority, and a folder of credentials for everybody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = make_authority(folder / "authority", CLUSTER)
        for name, role in ROLES.items():
            self.issue(name, role)

    def issue(self, name: str, role: CertificateRole, days: int = 10) -> Path:
        """New credentials, in the folder of that name."""
        return self.place(name, issue(self.authority, name, [], role, days=days))

    def place(self, name: str, credential: Credential) -> Path:
        folder = self.folder / name
        write_credential(credential, folder / CERTIFICATE_FILE, folder / KEY_FILE)
        (folder / AUTHORITY_FILE).write_bytes(self.authority.pem)
        (folder / REVOKED_FILE).write_bytes(self.authority.revoked)
        return folder

    def revoke(self, name: str) -> None:
        """Add to the list that the master reads."""
        revoke(self.authority, name)
        (self.folder / "master" / REVOKED_FILE).write_bytes(self.authority.revoked)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "credentials")


@pytest.fixture
def secure(credentials: Credentials, tmp_path: Path) -> Iterator[Daemons]:
    with running_daemons(Stage(tmp_path / "stage"), credentials=credentials.folder) as daemons:
        yield daemons


def connect(daemons: Daemons, credentials: Path | None, secret: bytes | None = None) -> None:
    """Ask the master for a description. Raises BlfsMrError."""
    secret = secret or read_secret(daemons.home / "secret")
    client = Client("127.0.0.1", daemons.port, CLUSTER, secret, credentials)
    try:
        client.describe()
    finally:
        client.close()


def dial_with(tls: ssl.SSLContext, daemons: Daemons) -> None:
    """Connect with a context that is not one of ours. Raises BlfsMrError."""
    secret = read_secret(daemons.home / "secret")
    dial("127.0.0.1", daemons.port, cluster=CLUSTER, secret=secret, name="tests", tls=tls).close()


def hang_up(daemons: Daemons) -> None:
    """Have the master read its files anew."""
    before = daemons.log.read_text().count("are read anew")
    daemons.processes["master"].send_signal(signal.SIGHUP)
    wait_for(lambda: daemons.log.read_text().count("are read anew") > before, "the master has read them")


def test_strangers_are_refused_with_a_logged_reason_and_the_master_serves_on(
    secure: Daemons, credentials: Credentials, tmp_path: Path
) -> None:
    other = Credentials(tmp_path / "other")
    with pytest.raises(BlfsMrError):
        connect(secure, other.folder / "client")
    with pytest.raises(BlfsMrError):
        connect(secure, None)
    bare = ssl.create_default_context(cafile=str(credentials.folder / "client" / AUTHORITY_FILE))
    bare.check_hostname = False
    with pytest.raises(BlfsMrError):
        dial_with(bare, secure)
    with pytest.raises(HandshakeRefused, match="certificate is that of worker worker-0"):
        connect(secure, credentials.folder / "worker-0")
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        connect(secure, credentials.folder / "client", b"x" * 32)
    old = credentials.issue("old", "client", days=-1)
    with pytest.raises(BlfsMrError):
        connect(secure, old)
    with socket.create_connection(("127.0.0.1", secure.port)) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        sock.settimeout(30)
        while sock.recv(4096):
            pass
    connect(secure, credentials.folder / "client")
    told = secure.log.read_text()
    for reason in (
        "certificate verify failed",
        "certificate is that of worker",
        "secrets differ",
        "http request",
    ):
        assert reason in told.lower(), f"{reason}: {told}"


def test_only_tls_1_3_is_spoken(secure: Daemons, credentials: Credentials) -> None:
    folder = credentials.folder / "client"
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    older.check_hostname = False
    older.load_verify_locations(folder / AUTHORITY_FILE)
    older.load_cert_chain(folder / CERTIFICATE_FILE, folder / KEY_FILE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(LinkClosed, match="no TLS with"):
        dial_with(older, secure)


def test_what_answers_must_be_the_master(credentials: Credentials) -> None:
    impostor = server_context(credentials.folder / "worker-1")

    def answer(listening: socket.socket) -> None:
        sock, _ = listening.accept()
        with sock, suppress(OSError), impostor.wrap_socket(sock, server_side=True) as secured:
            secured.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=answer, args=[listening])
        answering.start()
        ours = credentials.folder / "client"
        with pytest.raises(LinkClosed, match="CERTIFICATE_VERIFY_FAILED"):
            Client("127.0.0.1", listening.getsockname()[1], CLUSTER, b"s" * 32, ours)
        answering.join()


def test_a_job_runs_on_while_secret_and_certificates_are_replaced(
    secure: Daemons, credentials: Credentials, tmp_path: Path
) -> None:
    job = HeldJob(secure.start, tmp_path)
    secret = secure.home / "secret"
    old = load_or_create_secret(secret)
    # All daemons here share one file. A host that has not got the new secret is played by the test.
    rotate_secret(secret)
    for name, role in ROLES.items():
        credentials.issue(name, role)
    hang_up(secure)
    ours = credentials.folder / "client"
    connect(secure, ours, old)
    connect(secure, ours)
    retire_old_secret(secret)
    hang_up(secure)
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        connect(secure, ours, old)
    told = job.ends_well()
    assert "was lost" not in told
    assert len(secure.workers()) == 2


def test_a_revoked_worker_is_cut_off_and_the_job_ends_well(
    secure: Daemons, credentials: Credentials, tmp_path: Path
) -> None:
    job = HeldJob(secure.start, tmp_path)
    credentials.revoke("worker-1")
    hang_up(secure)
    wait_for(lambda: list(secure.workers()) == ["worker-0"], "the worker is cut off")
    job.ends_well()
    log = secure.log.read_text()
    assert "the certificate of worker worker-1 is revoked" in log
    wait_for(
        lambda: "certificate revoked" in secure.log.read_text().lower(), "it is refused when it comes again"
    )


def test_a_list_that_cannot_be_read_changes_nothing(secure: Daemons, credentials: Credentials) -> None:
    (credentials.folder / "master" / REVOKED_FILE).write_text("nothing")
    secure.processes["master"].send_signal(signal.SIGHUP)
    wait_for(lambda: "what was admitted before still is" in secure.log.read_text(), "the master says so")
    connect(secure, credentials.folder / "client")


def test_a_submitter_finds_the_master_of_another_address_in_its_configuration(
    credentials: Credentials, tmp_path: Path
) -> None:
    (tmp_path / "words").write_text("a b a\n")
    with running_daemons(
        Stage(tmp_path / "stage"), credentials=credentials.folder, master='host = "0.0.0.0"'
    ) as daemons:
        output = tmp_path / "out"
        ended = daemons.stage.submit(WORDCOUNT, tmp_path / "words", "-o", output, "--config", daemons.config)
        assert ended.code == 0, ended.stderr
        assert lines_of(output) == [b"a\t2\n", b"b\t1\n"]
        assert "registered" in daemons.log.read_text()
