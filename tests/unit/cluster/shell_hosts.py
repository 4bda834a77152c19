"""Hosts that are real in what they do: SSH servers of this process whose commands run in a shell, with SFTP.

All are this very host, so what they do must be told apart by folders.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from tests.unit.cluster.ssh_hosts import KeyServer, made_key, written_key

_CHUNK = 1 << 16


@dataclass
class ShellHost:
    """One host. ``commands`` lists what was run; each that holds ``refused`` fails."""

    name: str
    port: int
    fingerprint: str
    server: asyncssh.SSHAcceptor
    commands: list[str] = field(default_factory=list)
    refused: str = ""

    async def go_down(self) -> None:
        """Answer nobody any more, not even those who are connected."""
        self.server.close()
        await self.server.wait_closed()


@asynccontextmanager
async def shell_hosts(names: Sequence[str], client_key: asyncssh.SSHKey) -> AsyncIterator[list[ShellHost]]:
    """Hosts with ``names`` on free ports of loopback; they take ``client_key`` only."""
    async with AsyncExitStack() as stack:
        hosts = []
        for name in names:
            host = await _started(name, client_key)
            stack.push_async_callback(host.go_down)
            hosts.append(host)
        yield hosts


def inventory(folder: Path, hosts: Sequence[ShellHost], key: asyncssh.SSHKey) -> str:
    """A configuration that knows the hosts as workers, the first as the master's; state is in ``folder``."""
    private = written_key(key, folder)
    entries = "".join(
        f'[[cluster.workers]]\nname = "{host.name}"\naddress = "127.0.0.1"\nssh_port = {host.port}\n'
        f'host_key = "{host.fingerprint}"\ndevice = "/dev/disk-{host.name}"\n'
        for host in hosts
    )
    return f'[cluster.ssh]\nkey = "{private}"\n{entries}'


async def _started(name: str, client_key: asyncssh.SSHKey) -> ShellHost:
    key = made_key()

    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        host.commands.append(command)
        if host.refused and host.refused in command:
            process.stderr.write(b"refused by the test\n")
            process.exit(1)
            return
        shell = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert shell.stdin is not None
        assert shell.stdout is not None
        assert shell.stderr is not None
        # Bytes are passed on as they come: some commands are talked to.
        feeding = asyncio.create_task(_feed(process.stdin, shell.stdin))
        await asyncio.gather(_pass_on(shell.stdout, process.stdout), _pass_on(shell.stderr, process.stderr))
        code = await shell.wait()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        process.exit(code)

    server = await asyncssh.create_server(
        lambda: KeyServer(client_key.public_data),
        "127.0.0.1",
        0,
        server_host_keys=[key],
        process_factory=serve,
        sftp_factory=True,
        encoding=None,
        config=[],
    )
    host = ShellHost(name, server.sockets[0].getsockname()[1], key.get_fingerprint(), server)
    return host


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    try:
        # OSError: the command has ended, and takes no more. A signal: its client wants no more of it.
        with suppress(OSError, asyncssh.SignalReceived):
            while chunk := await source.read(_CHUNK):
                target.write(chunk)
                await target.drain()
    finally:
        target.close()


async def _pass_on(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while chunk := await source.read(_CHUNK):
        # A client that has left hears nothing more.
        with suppress(OSError):
            target.write(chunk)
