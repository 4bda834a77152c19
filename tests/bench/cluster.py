"""A cluster of running daemons on loopback, as an operator would start it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from blfs_mr.errors import BlfsMrError
from blfs_mr.pki import Authority, CertificateRole, issue, make_authority, write_credential
from blfs_mr.submission.client import Client, read_secret
from blfs_mr.tls import AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE, REVOKED_FILE

from .processes import CommandFailed, kill, start

START_DEADLINE = 20.0
"""Seconds for all daemons to start and register; they take about one."""

STOP_DEADLINE = 10.0
"""Seconds that a daemon gets after SIGTERM before it is killed."""

POLL = 0.05
"""Seconds between two looks whether the cluster is there."""


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """Where the daemons listen, and the configuration that knows their secret."""

    address: str
    config: Path

    @property
    def options(self) -> list[str]:
        """What `submit` must be told to use these daemons."""
        return ["--master", self.address, "--config", str(self.config)]


@contextlib.contextmanager
def running_cluster(home: Path, workers: int = 2, *, tls: bool = False) -> Iterator[RunningCluster]:
    """A master and ``workers`` workers of one slot each, registered; stopped at the end in any case.

    With ``tls``, all links are mutual TLS, with an authority and certificates of this cluster's own.
    """
    home.mkdir()
    port = _free_port()
    text = (
        f'home = "{home}"\n[cluster]\nid = "bench"\n[master]\nport = {port}\n[worker]\nslots = 1\n'
        '[logging]\nlevel = "WARNING"\n'
    )
    names = ("client", "master", *(f"worker-{number}" for number in range(workers)))
    configs = {name: home / f"{name}.toml" for name in names}
    authority = make_authority(home / "authority", "bench") if tls else None
    for name, path in configs.items():
        stated = text
        if authority is not None:
            _write_credentials(authority, name, home / "tls" / name)
            stated += f'[tls]\nfolder = "{home / "tls" / name}"\n'
        path.write_text(stated)
    config = configs["client"]
    log = home / "daemons.log"
    python = [sys.executable, "-m"]
    commands: list[list[object]] = [[*python, "daemons.master", "--config", configs["master"]]]
    commands += [[*python, "daemons.worker", "--config", configs[name], "--name", name] for name in names[2:]]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        with open(log, "wb") as said:
            for command in commands:
                daemons.append(start(command, stdout=said.fileno(), stderr=said))
                if len(daemons) == 1:
                    # The master makes the secret, and a worker that finds no master waits for its next try.
                    _wait_for(lambda: _workers(home, port, tls) == 0, daemons, log)
        _wait_for(lambda: _workers(home, port, tls) == workers, daemons, log)
        yield RunningCluster(f"127.0.0.1:{port}", config)
    finally:
        for daemon in reversed(daemons):
            _stop(daemon)


def _write_credentials(authority: Authority, name: str, folder: Path) -> None:
    role: CertificateRole = "client" if name == "client" else "master" if name == "master" else "worker"
    write_credential(issue(authority, name, [], role), folder / CERTIFICATE_FILE, folder / KEY_FILE)
    (folder / AUTHORITY_FILE).write_bytes(authority.pem)
    (folder / REVOKED_FILE).write_bytes(authority.revoked)


def _workers(home: Path, port: int, tls: bool) -> int | None:
    """How many workers the master knows; None while there is no master."""
    try:
        credentials = home / "tls" / "client" if tls else None
        client = Client("127.0.0.1", port, "bench", read_secret(home / "secret"), credentials)
    except BlfsMrError:
        return None
    try:
        return len(client.describe().workers)
    finally:
        client.close()


def _wait_for(condition: Callable[[], bool], daemons: list[subprocess.Popen[bytes]], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while not condition():
        if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in daemons):
            raise CommandFailed(f"the daemons did not start:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(POLL)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(STOP_DEADLINE)
    kill(daemon)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
