"""Who is let in, who is trusted, and what a command's caller learns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from blfs_mr.cluster.ssh import Completed, SshAddress, SshPolicy, connected
from blfs_mr.errors import ClusterError, HostKeyRefused, HostTooSlow, HostUnreachable, LoginRefused
from tests.unit.cluster.ssh_hosts import SimulatedHost, made_key, simulated, written_key

OURS = made_key()


def answer(command: str, given: bytes) -> Completed:
    if command == "cat":
        return Completed(0, given.decode(), "")
    if "refused" in command:
        return Completed(1, "", "sudo: a password is required\n")
    return Completed(3, "", f"no such thing: {command}\n")


@pytest.fixture
async def host() -> AsyncIterator[SimulatedHost]:
    async with simulated(SimulatedHost("node-1", answer, made_key()), OURS) as host:
        yield host


@pytest.fixture
def policy(tmp_path: Path) -> SshPolicy:
    return SshPolicy((tmp_path / "known_hosts",))


@pytest.fixture
def address(host: SimulatedHost, tmp_path: Path) -> SshAddress:
    return host.address(key=written_key(OURS, tmp_path), fingerprint=host.fingerprint)


async def test_a_command_gets_its_input_and_gives_its_output(address: SshAddress, policy: SshPolicy) -> None:
    given = b"line\n" * 100_000
    async with connected(address, policy) as there:
        assert (await there.run("cat", input=given)).output == given.decode()
        assert there.round_trips == 1


async def test_lines_are_told_while_the_command_runs(address: SshAddress, policy: SshPolicy) -> None:
    told: list[str] = []
    async with connected(address, policy) as there:
        await there.run("cat", input=b"one\ntwo\n", tell=told.append)
    assert told == ["one", "two"]


async def test_a_failure_names_host_command_and_reason(address: SshAddress, policy: SshPolicy) -> None:
    async with connected(address, policy) as there:
        with pytest.raises(ClusterError, match=r"node-1 .*`frobnicate x` failed: no such thing"):
            await there.check(["frobnicate", "x"])


async def test_an_unknown_host_is_refused_with_its_fingerprint(
    host: SimulatedHost, address: SshAddress, policy: SshPolicy
) -> None:
    with pytest.raises(HostKeyRefused, match="--accept-new-host-keys") as caught:
        async with connected(replace(address, fingerprint=""), policy):
            pass
    assert host.fingerprint in str(caught.value)


async def test_a_first_contact_is_remembered_when_it_is_asked_for(
    address: SshAddress, policy: SshPolicy
) -> None:
    unvouched = replace(address, fingerprint="")
    async with connected(unvouched, replace(policy, accept_new=True)) as there:
        await there.run("cat")
    async with connected(unvouched, policy) as there:
        await there.run("cat")
    assert len(policy.known_hosts[0].read_text().splitlines()) == 1


async def test_a_changed_host_key_is_refused_even_at_a_first_contact(
    address: SshAddress, policy: SshPolicy
) -> None:
    public = made_key().export_public_key().decode()
    policy.known_hosts[0].write_text(f"[127.0.0.1]:{address.port} {public}")
    with pytest.raises(HostKeyRefused, match="has changed"):
        async with connected(replace(address, fingerprint=""), replace(policy, accept_new=True)):
            pass


async def test_another_fingerprint_than_the_given_one_is_refused(
    address: SshAddress, policy: SshPolicy
) -> None:
    with pytest.raises(HostKeyRefused, match=r"config\.toml says SHA256:other"):
        async with connected(replace(address, fingerprint="SHA256:other"), policy):
            pass


async def test_a_key_that_the_host_does_not_take_is_named(
    address: SshAddress, policy: SshPolicy, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    wrong = written_key(made_key(), tmp_path / "other")
    with pytest.raises(LoginRefused, match="does not take the key"):
        async with connected(replace(address, key=wrong), policy):
            pass


@pytest.mark.parametrize("contents", [None, "no key\n"])
async def test_a_key_file_of_no_use_is_named(
    address: SshAddress, policy: SshPolicy, tmp_path: Path, contents: str | None
) -> None:
    path = tmp_path / "broken"
    if contents is not None:
        path.write_text(contents)
    with pytest.raises(LoginRefused, match="broken"):
        async with connected(replace(address, key=path), policy):
            pass


async def test_a_host_that_is_not_there_is_unreachable(address: SshAddress, policy: SshPolicy) -> None:
    # A socket that is bound and does not listen keeps its port from others, and refuses.
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(HostUnreachable, match=r"node-1 .*cannot be reached"):
            async with connected(replace(address, port=silent.getsockname()[1]), policy):
                pass


async def test_a_host_that_never_answers_is_given_up(address: SshAddress, policy: SshPolicy) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        mute = replace(address, port=server.sockets[0].getsockname()[1])
        with pytest.raises(HostTooSlow, match="gave no answer"):
            async with connected(mute, replace(policy, connect_deadline=0.2)):
                pass


async def test_a_command_that_takes_too_long_is_given_up(
    host: SimulatedHost, address: SshAddress, policy: SshPolicy
) -> None:
    host.latency = 3600
    async with connected(address, policy) as there:
        with pytest.raises(HostTooSlow, match=r"did not end `cat` within 0\.2s"):
            await there.run("cat", deadline=0.2)


async def test_sudo_is_used_where_the_user_is_not_root_and_its_refusal_explained(
    host: SimulatedHost, address: SshAddress, policy: SshPolicy
) -> None:
    async with connected(replace(address, user="ada"), policy) as there:
        with pytest.raises(LoginRefused, match="NOPASSWD"):
            await there.run(["id", "re fused", "refused"])
        await there.run("cat", as_root=False)
    assert host.seen == ["sudo -n -- sh -c 'id '\"'\"'re fused'\"'\"' refused'", "cat"]


async def test_a_connection_that_ends_is_told_as_that(
    host: SimulatedHost, address: SshAddress, policy: SshPolicy
) -> None:
    host.latency = 3600
    async with connected(address, policy) as there:
        running = asyncio.create_task(there.run("cat"))
        await host.asked.wait()
        there.connection.abort()
        with pytest.raises(HostUnreachable, match="connection ended"):
            await running
