"""Supervises one embedded cluster: the daemons' processes, their folder, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from blfs_mr import linux
from blfs_mr.built_in import built_in_config
from blfs_mr.client_config import config_path
from blfs_mr.errors import ConfigError, UsageError
from blfs_mr.model import WorkerName
from blfs_mr.secret import load_or_create_secret
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import encode_frame
from blfs_mr.wire.messages.launcher import ForkSpawner, WorkerToSpawner
from daemons import master, worker
from daemons.lifecycle import run, set_up_logging

if TYPE_CHECKING:
    from blfs_mr.config import Config

STOP_DEADLINE = 5.0
"""Seconds that daemons get to stop by themselves before they are killed; cleaning up takes milliseconds."""

LOOPBACK = "127.0.0.1"


def supervise(spawner: socket.socket) -> int:
    """Supervise one embedded cluster until standard input closes; the exit code.

    ``spawner`` leads to a spawner.
    """
    gc.freeze()
    gc.enable()
    home: Path | None = None
    children: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if asked := sys.stdin.buffer.readline():
            options = json.loads(asked)
            config = _configuration(options["config"])
            home = _folder(config)
            _start(config, home, options["workers"], options["slots"], spawner, children)
            sys.stdin.buffer.read()
    except UsageError as error:
        _say({"error": str(error)})
        return 2
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # It is being obeyed; a second one must not end that.
        _stop(children)
        spawner.close()
        _kill_the_rest()
        if home is not None:
            shutil.rmtree(home, ignore_errors=True)
    return 0


def _configuration(path: str | None) -> Config:
    """Raises ConfigError."""
    named = config_path(Path(path) if path else None, os.environ)
    if named is None:
        return built_in_config(os.environ)
    from blfs_mr.config import load_config  # Takes longer to import than everything else here.

    return load_config(named, os.environ)


def _folder(config: Config) -> Path:
    """A new one, for everything that is written. Raises ConfigError."""
    try:
        return Path(tempfile.mkdtemp(prefix="blfs-mr-", dir=config.embedded.scratch))
    except OSError as error:
        raise ConfigError(f"embedded.scratch cannot be used: {error}") from error


def _say(answer: dict[str, object]) -> None:
    """Tell the submitter, who may be gone; that is seen by the end of standard input."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), flush=True)


def _start(
    config: Config,
    home: Path,
    workers: int | None,
    slots: int | None,
    spawner: socket.socket,
    children: list[int],
) -> None:
    """Fork the master, which is ``children[0]``, and the workers, and tell the submitter where they are."""
    count = workers or config.embedded.workers
    slots = slots or config.worker.slots or max(1, config.worker.slot_count // count)
    listening = socket.create_server((LOOPBACK, 0))
    port = listening.getsockname()[1]
    config = config.model_copy(
        update={
            "home": home,
            "secret_file": "{home}/secret",
            "tls": config.tls.model_copy(update={"folder": None}),
            # Who stops an embedded cluster wants nothing more of it.
            "master": config.master.model_copy(update={"host": LOOPBACK, "port": port, "grace": 0.0}),
            "worker": config.worker.model_copy(
                update={
                    "slots": slots,
                    "task_user": "",
                    "volume": "{home}/volumes/{name}",
                    "scratch": "{home}/scratch/{name}",
                    "output": "{home}/output/{name}",
                }
            ),
        }
    )
    load_or_create_secret(config.secret_path)
    _say(
        {
            "port": port,
            "cluster": config.cluster.id,
            "secret_file": str(config.secret_path),
            "home": str(home),
            "slots": count * slots,
        }
    )
    children.append(_fork(partial(master.serve, config, listening), spawner))
    for number in range(count):
        name = WorkerName(f"worker-{number}")
        spawning, theirs = socket.socketpair()
        message = encode_frame(codec_for(WorkerToSpawner).encode(Envelope(ForkSpawner(name))))
        socket.send_fds(spawner, [message], [theirs.fileno()])
        theirs.close()
        serve = partial(worker.serve, config, name, spawning, leave_with_master=True)
        children.append(_fork(serve, spawner, listening))
        spawning.close()
    listening.close()


def _fork(serve: Callable[[asyncio.Event], Awaitable[None]], *foreign: socket.socket) -> int:
    """A child process that runs ``serve``, without the sockets ``foreign``, and dies with this one."""
    supervisor = os.getpid()
    # The handler of SIGTERM is the supervisor's. A child that ran it would clean up in the supervisor's
    # stead, or lose the signal to its event loop that begins.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return pid
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        linux.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() == supervisor:
            # Whoever holds these would keep others from seeing that the supervisor, or the master, is gone.
            for sock in foreign:
                sock.close()
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            set_up_logging("WARNING")
            code = run(serve)
    except Exception:  # ours; nobody else would tell of it
        logging.getLogger("blfs_mr").exception("a daemon of the embedded cluster ends")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _stop(children: list[int]) -> None:
    """Stop the master; workers leave when they have done its last commands. Kill what does not go."""
    if not children:
        return
    ends = {os.pidfd_open(pid): pid for pid in children}
    poll = select.poll()
    for end in ends:
        poll.register(end, select.POLLIN)
    os.kill(children[0], signal.SIGTERM)
    deadline = time.monotonic() + STOP_DEADLINE
    while ends and (left := deadline - time.monotonic()) > 0:
        for end, _ in poll.poll(left * 1000):
            poll.unregister(end)
            os.waitpid(ends.pop(end), 0)
            os.close(end)


def _kill_the_rest() -> None:
    """What hangs, and orphans of user code, which have become children of this process, a subreaper."""
    while running := linux.children_of(os.getpid()):
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in running:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
