"""Supervises one embedded cluster: the daemons' processes, their folder, and their end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import click

from blfs_mr import linux
from blfs_mr.config import Config, load_config
from blfs_mr.errors import UsageError
from blfs_mr.model import WorkerName
from blfs_mr.secret import load_or_create_secret
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import encode_frame
from blfs_mr.wire.messages.launcher import ForkSpawner, WorkerToSpawner
from daemons import master, worker
from daemons.lifecycle import run, set_up_logging

STOP_DEADLINE = 5.0
"""Seconds that daemons get to stop by themselves before they are killed; cleaning up takes milliseconds."""

LOOPBACK = "127.0.0.1"


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path))
@click.option("--workers", type=int)
@click.option("--slots", type=int)
@click.pass_obj
def supervise(spawner: socket.socket, path: Path | None, workers: int | None, slots: int | None) -> None:
    """Supervise one embedded cluster until standard input closes. ``spawner`` leads to a spawner."""
    try:
        config = load_config(path, os.environ)
        home = Path(tempfile.mkdtemp(prefix="blfs-mr-", dir=config.embedded.scratch))
    except UsageError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(2)
    except OSError as error:
        print(json.dumps({"error": f"embedded.scratch cannot be used: {error}"}), flush=True)
        sys.exit(2)
    count = workers or config.embedded.workers
    slots = slots or config.worker.slots or max(1, config.worker.slot_count // count)
    children: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _start(config, home, count, slots, spawner, children)
        sys.stdin.buffer.read()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # It is being obeyed; a second one must not end that.
        _stop(children)
        spawner.close()
        _kill_the_rest()
        shutil.rmtree(home, ignore_errors=True)


def _start(
    config: Config, home: Path, count: int, slots: int, spawner: socket.socket, children: list[int]
) -> None:
    """Fork the master, which is ``children[0]``, and the workers, and tell the submitter where they are."""
    listening = socket.create_server((LOOPBACK, 0))
    port = listening.getsockname()[1]
    config = config.model_copy(
        update={
            "home": home,
            "secret_file": "{home}/secret",
            "master": config.master.model_copy(update={"host": LOOPBACK, "port": port}),
            "worker": config.worker.model_copy(
                update={
                    "slots": slots,
                    "volume": "{home}/volumes/{name}",
                    "scratch": "{home}/scratch/{name}",
                    "output": "{home}/output/{name}",
                }
            ),
        }
    )
    load_or_create_secret(config.secret_path)
    ready = {
        "port": port,
        "cluster": config.cluster.id,
        "secret_file": str(config.secret_path),
        "home": str(home),
        "slots": count * slots,
    }
    print(json.dumps(ready), flush=True)
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


def _fork(serve: Callable[[], Awaitable[None]], *foreign: socket.socket) -> int:
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
    finally:
        sys.stderr.flush()
        os._exit(code)


def _stop(children: list[int]) -> None:
    """Stop the master; workers leave when they have done its last commands. Kill what does not go."""
    deadline = time.monotonic() + STOP_DEADLINE
    left = set(children)
    if children:
        os.kill(children[0], signal.SIGTERM)
    while left and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            pid, _ = os.waitpid(-1, os.WNOHANG)
            left.discard(pid)
            if pid:
                continue
        time.sleep(0.005)


def _kill_the_rest() -> None:
    """What hangs, and orphans of user code, which have become children of this process, a subreaper."""
    while running := linux.children_of(os.getpid()):
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in running:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
