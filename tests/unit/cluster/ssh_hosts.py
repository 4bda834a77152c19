"""Simulated hosts: SSH servers of this very process on loopback, whose commands a function answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from blfs_mr.cluster.ssh import Completed, SshAddress

Answer = Callable[[str, bytes], Completed]
"""What a host does with a command and its standard input."""


@dataclass
class SimulatedHost:
    """One server. ``latency`` (seconds) goes by before each answer; ``seen`` lists the commands."""

    name: str
    answer: Answer
    key: asyncssh.SSHKey
    latency: float = 0.0
    port: int = 0
    seen: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def fingerprint(self) -> str:
        return self.key.get_fingerprint()

    def address(self, *, user: str = "root", key: Path | None = None, fingerprint: str = "") -> SshAddress:
        return SshAddress(self.name, "127.0.0.1", self.port, user, key, fingerprint)

    async def serve_command(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        self.seen.append(command)
        self.asked.set()
        # Sides of the volume doctor are talked to; all other commands get what they need at once.
        given = b"" if "volume doctor" in command else await process.stdin.read()
        await asyncio.sleep(self.latency)
        completed = self.answer(command, given)
        process.stdout.write(completed.output.encode())
        process.stderr.write(completed.error.encode())
        process.exit(completed.exit_code)


class KeyServer(asyncssh.SSHServer):
    def __init__(self, allowed: bytes) -> None:
        self._allowed = allowed

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.public_data == self._allowed


@asynccontextmanager
async def simulated(host: SimulatedHost, client_key: asyncssh.SSHKey) -> AsyncIterator[SimulatedHost]:
    """``host`` listening on a free port of loopback; it takes ``client_key`` only."""
    server = await asyncssh.create_server(
        lambda: KeyServer(client_key.public_data),
        "127.0.0.1",
        0,
        server_host_keys=[host.key],
        process_factory=host.serve_command,
        encoding=None,
        config=[],
    )
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()
        await server.wait_closed()


def made_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def written_key(key: asyncssh.SSHKey, folder: Path) -> Path:
    path = folder / "id_ed25519"
    key.write_private_key(path)
    path.chmod(0o600)
    return path
