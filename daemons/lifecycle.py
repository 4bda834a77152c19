"""What every daemon's life has in common: the loop, signals, readiness, logging."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine

import uvloop

from blfs_mr.errors import BlfsMrError, UsageError

WATCHDOG_SIGNS = 3
"""Signs of life within the time that systemd allows: one may come late without harm."""

STOPPING_DEADLINE = 60.0
"""Seconds that a daemon may take beyond its grace to end what it has begun: more than it ever waits."""


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run ``main`` on uvloop until it returns; the exit code.

    SIGTERM or SIGINT sets the event that ``main`` is given, the second one cancels it. 0 after a clean end, 2
    when what was asked for is wrong, 1 for every other error of ours.
    """

    async def until_signalled() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()

        def on_signal() -> None:
            if stopping.is_set():
                task.cancel()
            stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        watchdog = asyncio.create_task(feed_watchdog())
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await main(stopping)
        finally:
            watchdog.cancel()

    try:
        uvloop.run(until_signalled())
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BlfsMrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def work_until(
    stopping: asyncio.Event, work: Coroutine[None, None, None], leave: Callable[[], Awaitable[None]]
) -> None:
    """Do ``work`` until ``stopping`` is set; then ``leave``, with ``work`` going on beside it, and end it.

    Raises what ``work`` raises.
    """
    working, told = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((working, told), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await leave()
    finally:
        told.cancel()
        working.cancel()
        await asyncio.wait((working,))
    if not working.cancelled():
        working.result()


def notify_stopping(grace: float) -> None:
    """Tell systemd that this daemon stops, and needs ``grace`` seconds before it is through."""
    notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int((grace + STOPPING_DEADLINE) * 1e6)}")


def set_up_logging(level: str) -> None:
    """Log to stderr. Under journald, which adds the time itself, lines carry a syslog priority instead."""
    under_journal = "JOURNAL_STREAM" in os.environ
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JournalFormatter() if under_journal else logging.Formatter(_LINE))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def notify(state: str) -> None:
    """Tell systemd ``state`` (sd_notify(3)); does nothing where no supervisor asked for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        sock.sendall(state.encode())


async def feed_watchdog() -> None:
    """Tell systemd for ever that this event loop still turns; ends at once where no watchdog is set.

    It runs in the loop itself, so that a loop that is stuck is found out and its daemon started again
    (sd_watchdog_enabled(3)).
    """
    interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while interval:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval / WATCHDOG_SIGNS)


_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _JournalFormatter(logging.Formatter):
    """``<priority>name: message``, as sd-daemon(3) has it."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        return f"<{priority}>{super().format(record)}"
