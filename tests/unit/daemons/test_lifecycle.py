import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons.lifecycle import feed_watchdog


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        yield listening


async def test_the_event_loop_tells_the_watchdog_again_and_again(
    supervisor: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    feeding = asyncio.create_task(feed_watchdog())
    async with asyncio.timeout(60):
        for _ in range(3):
            assert await asyncio.get_running_loop().sock_recv(supervisor, 100) == b"WATCHDOG=1"
    feeding.cancel()


async def test_without_a_watchdog_nothing_is_told(supervisor: socket.socket) -> None:
    await asyncio.wait_for(feed_watchdog(), 60)
    with pytest.raises(BlockingIOError):
        supervisor.recv(100)


async def test_a_watchdog_that_is_set_for_another_process_is_not_ours(
    supervisor: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    await asyncio.wait_for(feed_watchdog(), 60)
