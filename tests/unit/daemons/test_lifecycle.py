import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons.lifecycle import feed_watchdog, notify_stopping, work_until


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


def test_a_daemon_that_stops_asks_for_the_time_of_its_grace_and_more(supervisor: socket.socket) -> None:
    notify_stopping(100.0)
    said = dict(line.split("=") for line in supervisor.recv(100).decode().splitlines())
    assert said["STOPPING"] == "1"
    assert int(said["EXTEND_TIMEOUT_USEC"]) > 100_000_000


async def test_work_goes_on_while_a_daemon_leaves_and_ends_then() -> None:
    stopping, left = asyncio.Event(), asyncio.Event()
    story = []

    async def work() -> None:
        story.append("works")
        await left.wait()
        story.append("still works")
        await asyncio.Event().wait()

    async def leave() -> None:
        story.append("leaves")
        left.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    stopping.set()
    await asyncio.wait_for(work_until(stopping, work(), leave), 60)
    assert sorted(story) == ["leaves", "still works", "works"]


async def test_what_ends_work_is_raised_and_nobody_leaves() -> None:
    async def work() -> None:
        raise OSError("gone")

    async def leave() -> None:
        pytest.fail("it was never asked to stop")

    with pytest.raises(OSError, match="gone"):
        await asyncio.wait_for(work_until(asyncio.Event(), work(), leave), 60)
