"""One SSH connection to one host: the only way in which the cluster's commands reach it.

A host is known by its key: from known_hosts files, or by the fingerprint that the inventory gives. A host
that nobody has vouched for is refused unless the operator asked for first contacts; one whose key has changed
is refused always. Commands run as root: directly where the SSH user is root, else through ``sudo -n``.
Secrets travel on standard input or by SFTP, never in a command, since any user of a host can see those.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from blfs_mr.errors import ClusterError, HostKeyRefused, HostTooSlow, HostUnreachable, LoginRefused

MAX_OUTPUT = 16 << 20
"""Bytes of a command's output that are kept: far above what any of our commands prints."""

PIECE = 1 << 18
"""Bytes of a file that are on their way in one piece."""

_SIGN_OF_LIFE = 15.0
"""Seconds between questions whether a silent host is still there; three unanswered ones end a connection."""

_SUDO_REFUSALS = ("a password is required", "is not in the sudoers", "not allowed", "sudo: not found")


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where a host is reached, and as whom. ``fingerprint`` is its key's (``SHA256:…``), or empty.

    ``key`` is the file of our private key; None leaves the choice to the agent and the user's own keys.
    """

    name: str
    host: str
    port: int = 22
    user: str = "root"
    key: Path | None = None
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.user}@{self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class SshPolicy:
    """How hosts are known and how long they may take (seconds).

    ``known_hosts`` are read where they exist. With ``accept_new`` a host that none of them knows is taken at
    its word and added to the first of them.
    """

    known_hosts: tuple[Path, ...]
    accept_new: bool = False
    connect_deadline: float = 30.0
    command_deadline: float = 120.0


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command did: its exit code (-1 where a signal ended it) and what it printed."""

    exit_code: int
    output: str
    error: str

    @property
    def reason(self) -> str:
        """Why it failed, in one line."""
        said = " ".join((self.error or self.output).split())
        return said[-500:] or f"exit code {self.exit_code}"


@dataclass(slots=True)
class SshHost:
    """A connected host. ``round_trips`` counts the commands and transfers that were waited for."""

    address: SshAddress
    policy: SshPolicy
    connection: asyncssh.SSHClientConnection
    round_trips: int = field(default=0)

    async def run(
        self,
        command: str | Sequence[str],
        *,
        input: bytes = b"",
        as_root: bool = True,
        deadline: float | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run ``command``, a shell's text or an argv, with ``input`` on its standard input.

        ``tell`` hears each line of output as it comes. An exit code is the caller's to judge. Raises
        HostTooSlow after ``deadline`` seconds (the command is killed where the host still listens),
        LoginRefused where sudo refuses, HostUnreachable when the connection ends.
        """
        plain = command if isinstance(command, str) else shlex.join(command)
        text = self._as_root(command) if as_root else plain
        seconds = deadline if deadline is not None else self.policy.command_deadline
        self.round_trips += 1
        try:
            async with asyncio.timeout(seconds):
                completed = await self._run(text, input, tell)
        except TimeoutError as error:
            raise HostTooSlow(
                f"{self.address} did not end `{_shortened(command)}` within {seconds:g}s; look whether it is "
                "overloaded, or give it longer (cluster.limits.command_deadline)"
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise self._cut_off(error) from error
        if completed.exit_code != 0 and as_root:
            self._check_sudo(completed)
        return completed

    async def check(self, command: str | Sequence[str], *, input: bytes = b"", as_root: bool = True) -> str:
        """Run ``command`` as :meth:`run` does and return its output; raises ClusterError where it fails."""
        completed = await self.run(command, input=input, as_root=as_root)
        if completed.exit_code != 0:
            raise ClusterError(f"{self.address}: `{_shortened(command)}` failed: {completed.reason}")
        return completed.output

    async def read(self, path: str, take: Callable[[bytes], Awaitable[object]]) -> None:
        """Hand a file of the host, which root reads there, to ``take`` piece by piece.

        Raises ClusterError where it cannot be read to its end, and what ``take`` raises.
        """
        self.round_trips += 1
        command = self._as_root(["cat", "--", path])
        try:
            async with self.connection.create_process(
                command, encoding=None, stdin=asyncssh.DEVNULL
            ) as process:
                while piece := await process.stdout.read(PIECE):
                    await take(piece)
                error = await _collect(process.stderr, None)
                completed = Completed(_exit_code(await process.wait()), "", error)
        except (asyncssh.Error, ConnectionError) as error:
            raise self._cut_off(error) from error
        if completed.exit_code != 0:
            self._check_sudo(completed)
            raise ClusterError(f"{self.address}: {path} cannot be read: {completed.reason}")

    @asynccontextmanager
    async def files(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """An SFTP session, as the SSH user. Raises ClusterError for what fails in it."""
        self.round_trips += 1
        try:
            async with self.connection.start_sftp_client() as client:
                yield client
        except asyncssh.SFTPError as error:
            raise ClusterError(f"{self.address}: a transfer failed: {error.reason}") from error
        except (asyncssh.Error, ConnectionError) as error:
            raise self._cut_off(error) from error

    @asynccontextmanager
    async def conversation(self, command: str | Sequence[str]) -> AsyncIterator[Conversation]:
        """``command`` running as root for as long as the context lasts, to talk to it in lines."""
        self.round_trips += 1
        try:
            async with self.connection.create_process(self._as_root(command), encoding=None) as process:
                yield Conversation(process.stdin, process.stdout)
                process.terminate()
        except (asyncssh.Error, OSError) as error:
            raise self._cut_off(error) from error

    def _cut_off(self, error: Exception) -> HostUnreachable:
        return HostUnreachable(f"{self.address}: the connection ended: {error}")

    def _as_root(self, command: str | Sequence[str]) -> str:
        text = command if isinstance(command, str) else shlex.join(command)
        return text if self.address.user == "root" else f"sudo -n -- sh -c {shlex.quote(text)}"

    async def _run(self, text: str, input: bytes, tell: Callable[[str], None] | None) -> Completed:
        async with self.connection.create_process(text, encoding=None) as process:
            output, error, _ = await asyncio.gather(
                _collect(process.stdout, tell), _collect(process.stderr, None), _feed(process.stdin, input)
            )
            ended = await process.wait()
        return Completed(_exit_code(ended), output, error)

    def _check_sudo(self, completed: Completed) -> None:
        said = completed.error.lower()
        if (
            self.address.user != "root"
            and "sudo" in said
            and any(refusal in said for refusal in _SUDO_REFUSALS)
        ):
            raise LoginRefused(
                f"{self.address}: sudo refuses: {completed.reason}; allow the user to run commands as root "
                "without a password (NOPASSWD), or name root as the SSH user"
            )


@dataclass(frozen=True, slots=True)
class Conversation:
    """A command that runs on a host, with lines in and lines out."""

    stdin: asyncssh.SSHWriter[bytes]
    stdout: asyncssh.SSHReader[bytes]

    async def send(self, line: bytes) -> None:
        """Write a line to its input; an input that is closed takes it without an error."""
        with suppress(OSError, asyncssh.Error):
            self.stdin.write(line)
            await self.stdin.drain()

    async def receive(self) -> bytes:
        """The next line of its output; empty at the end, and when the connection is lost."""
        try:
            return await self.stdout.readline()
        except (OSError, asyncssh.Error):
            return b""


@asynccontextmanager
async def connected(address: SshAddress, policy: SshPolicy) -> AsyncIterator[SshHost]:
    """A connection to ``address`` for as long as the context lasts.

    Raises HostUnreachable, HostKeyRefused, LoginRefused or HostTooSlow, each with what to do.
    """
    host = await connect(address, policy)
    try:
        yield host
    finally:
        host.connection.close()
        # A host that is gone must not hold up the end: what it has not acknowledged by then is lost anyway.
        try:
            async with asyncio.timeout(5):
                await host.connection.wait_closed()
        except TimeoutError:
            host.connection.abort()


async def connect(address: SshAddress, policy: SshPolicy) -> SshHost:
    """As :func:`connected`; the caller closes ``connection``."""
    check = _HostKeyCheck(address, policy)
    try:
        async with asyncio.timeout(policy.connect_deadline):
            connection, _ = await asyncssh.create_connection(
                lambda: check,
                address.host,
                address.port,
                username=address.user,
                known_hosts=check.trusted,
                client_keys=() if address.key is None else [str(address.key)],
                # Only config.toml counts, whoever runs the command.
                config=[],
                keepalive_interval=_SIGN_OF_LIFE,
                compression_algs=["none"],
            )
    except TimeoutError as error:
        raise HostTooSlow(
            f"{address} gave no answer within {policy.connect_deadline:g}s: is it up, its SSH port open?"
        ) from error
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyRefused(f"{address}: {check.refusal or error}") from error
    except asyncssh.PermissionDenied as error:
        which = f"the key {address.key}" if address.key else "any key of the agent or of ~/.ssh"
        raise LoginRefused(
            f"{address} does not take {which}; add its public half to ~{address.user}/.ssh/authorized_keys"
        ) from error
    except asyncssh.KeyImportError as error:
        raise LoginRefused(
            f"{address}: the key {address.key} cannot be used: {error}; a key with a passphrase belongs into "
            "an agent"
        ) from error
    except (asyncssh.Error, OSError) as error:
        if address.key is not None and not os.access(address.key, os.R_OK):
            raise LoginRefused(f"{address}: the key {address.key} cannot be read: {error}") from error
        raise HostUnreachable(f"{address} cannot be reached: {error}") from error
    return SshHost(address, policy, connection)


class _HostKeyCheck(asyncssh.SSHClient):
    """Decides about a host's key that is in none of the known_hosts files."""

    def __init__(self, address: SshAddress, policy: SshPolicy) -> None:
        self._address, self._policy = address, policy
        files = [str(path) for path in policy.known_hosts if path.exists()]
        known = asyncssh.read_known_hosts(files) if files and not address.fingerprint else None
        # Empty lists trust nothing by themselves: the decision comes here.
        self.trusted: asyncssh.SSHKnownHosts | tuple[list[str], list[str], list[str]] = known or ([], [], [])
        self._is_known = known is not None and any(known.match(address.host, "", address.port)[:2])
        self.refusal = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        shown = key.get_fingerprint()
        if self._address.fingerprint:
            if shown == self._address.fingerprint:
                return True
            self.refusal = (
                f"its host key is {shown}, and config.toml says {self._address.fingerprint}: this may be "
                "another host; put host_key right if the change is yours"
            )
        elif self._is_known:
            self.refusal = (
                f"its host key has changed to {shown}: this may be another host; if the change is yours, "
                f"take the old key out (`ssh-keygen -R {_known_name(host, port)} -f FILE`, in "
                f"{', '.join(map(str, self._policy.known_hosts))})"
            )
        elif self._policy.accept_new:
            self._remember(host, port, key)
            return True
        else:
            self.refusal = (
                f"its host key {shown} is not known; compare it with the host's own (`ssh-keygen -lf "
                "/etc/ssh/ssh_host_ed25519_key.pub` there) and give it as host_key, or run again with "
                "--accept-new-host-keys"
            )
        return False

    def _remember(self, host: str, port: int, key: asyncssh.SSHKey) -> None:
        path = self._policy.known_hosts[0]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = key.export_public_key("openssh").decode("ascii").split()[:2]
        # One write to the end of a file: hosts that are met at the same time do not mix their lines.
        with path.open("a", encoding="ascii") as file:
            file.write(f"{_known_name(host, port)} {' '.join(line)}\n")


def _known_name(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"


def _exit_code(ended: asyncssh.SSHCompletedProcess) -> int:
    """That of a command that ended, -1 for a signal. Raises ConnectionError where it was cut off."""
    if ended.exit_status is None and ended.exit_signal is None:
        raise ConnectionError("there is no exit code")
    return -1 if ended.exit_signal else ended.exit_status or 0


async def _feed(stdin: asyncssh.SSHWriter[bytes], data: bytes) -> None:
    try:
        # In pieces, so that a slow host holds up the sender and not its memory.
        for start in range(0, len(data), PIECE):
            stdin.write(data[start : start + PIECE])
            await stdin.drain()
        stdin.write_eof()
    except (BrokenPipeError, ConnectionError):
        pass  # The command ended before it read everything; its exit code says why.


async def _collect(stream: asyncssh.SSHReader[bytes], tell: Callable[[str], None] | None) -> str:
    kept, size = [], 0
    while line := await stream.readline():
        size += len(line)
        if size > MAX_OUTPUT:
            raise OSError(f"more than {MAX_OUTPUT} bytes of output")
        text = line.decode("utf-8", "replace")
        kept.append(text)
        if tell is not None:
            tell(text.rstrip("\n"))
    return "".join(kept)


def _shortened(command: str | Sequence[str]) -> str:
    text = command if isinstance(command, str) else shlex.join(command)
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."
