"""A submitter's conversation with the master: one blocking socket, no event loop."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from blfs_mr.blocking_link import BlockingLink, dial
from blfs_mr.errors import ConfigError, FrameTooLarge, LinkClosed, UsageError
from blfs_mr.model import InputSplit, JobId, JobSpec, WorkerName
from blfs_mr.wire.messages.base import FilesMeasured, Heartbeat, MeasureFiles
from blfs_mr.wire.messages.client import (
    AttemptFailed,
    CancelJob,
    ClusterDescription,
    DescribeCluster,
    DescribeInput,
    InputDescription,
    JobAccepted,
    JobEnded,
    JobProgressed,
    SubmitJob,
)

SILENCE_DEADLINE = 30.0
"""Seconds without a sign of the master after which it counts as gone. It sends one every second or so."""

SIGN_INTERVAL = 0.25
"""Seconds between signs of life: a fraction of the shortest time after which a master misses them."""

CANCEL_DEADLINE = 5.0
"""Seconds that the master gets to confirm a cancellation; without a word the submitter leaves all the same,
and the end of its link cancels the job."""

News = Callable[[JobProgressed | AttemptFailed], None]


class Client:
    """One submitter's link to a master."""

    def __init__(
        self, host: str, port: int, cluster: str, secret: bytes, tls_folder: Path | None = None
    ) -> None:
        """Connect; by TLS with the credentials in ``tls_folder``, if that is given.

        Raises LinkClosed when nobody answers, HandshakeRefused when secret, cluster or certificate are not
        accepted, ConfigError for credentials that cannot be used.
        """
        tls = None
        if tls_folder is not None:
            from blfs_mr.tls import client_context  # Not loaded where a job stays on this host.

            tls = client_context(tls_folder)
        name = f"{socket.gethostname()}-{os.getpid()}"
        self._link: BlockingLink = dial(host, port, cluster=cluster, secret=secret, name=name, tls=tls)
        self._link.set_deadline(SILENCE_DEADLINE)
        self._last_asked = time.monotonic()
        self._job: JobId | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the master cannot have missed a sign of us yet."""
        return time.monotonic() - self._last_asked < SIGN_INTERVAL

    def describe(self) -> ClusterDescription:
        """What there is to run on."""
        self._last_asked = time.monotonic()
        return self._link.request(DescribeCluster(), expect=ClusterDescription)

    def describe_input(self, name: str) -> InputDescription:
        """The input of that name, which was put on workers. Raises RequestFailed where there is none."""
        self._last_asked = time.monotonic()
        return self._link.request(DescribeInput(name), expect=InputDescription)

    def measure(self, worker: WorkerName, paths: tuple[str, ...]) -> tuple[int, ...]:
        """The sizes of files on the disk of ``worker``. Raises RequestFailed where it cannot be asked, or
        where one is missing."""
        self._last_asked = time.monotonic()
        return self._link.request(MeasureFiles(worker, paths), expect=FilesMeasured).sizes

    def submit(self, spec: JobSpec, splits: tuple[InputSplit, ...]) -> JobId:
        """Start a job. Raises RequestFailed with the master's reason if it is refused, UsageError if it is
        too large to be sent."""
        try:
            self._job = self._link.request(SubmitJob(spec, splits), expect=JobAccepted).job
        except FrameTooLarge as error:
            raise UsageError(
                f"the job file, {len(spec.side_files)} side files and {len(splits)} input splits do not fit "
                f"into one message ({error}): take larger splits (--split-size), or fewer side files"
            ) from error
        return self._job

    def wait(self, news: News) -> JobEnded:
        """Wait for the job's end; ``news`` hears what happens until then. Raises LinkClosed."""
        next_sign = 0.0
        while True:
            message = self._link.receive()
            # The master says something every second, be it a heartbeat: time to show a sign of life, too.
            if time.monotonic() >= next_sign:
                next_sign = time.monotonic() + SIGN_INTERVAL
                self._link.send(Heartbeat())
            match message:
                case JobEnded():
                    return message
                case JobProgressed() | AttemptFailed():
                    news(message)

    def cancel(self) -> None:
        """Cancel the job, if one runs, and wait a moment for the master to say that it is over."""
        if self._job is None:
            return
        self._link.set_deadline(CANCEL_DEADLINE)
        try:
            self._link.send(CancelJob(self._job))
            self.wait(lambda _: None)
        except LinkClosed:
            pass  # The end of the link cancels it as well.

    def close(self) -> None:
        """End the link; a job that still runs is cancelled by that."""
        self._link.close()


def read_secret(path: Path) -> bytes:
    """The newest secret of an existing cluster. Raises ConfigError; one made here would be another one."""
    try:
        return bytes.fromhex(path.read_text().split()[0])
    except FileNotFoundError:
        raise ConfigError(
            f"there is no cluster secret at {path}: start the master first, or name its --config"
        ) from None
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(f"the cluster secret at {path} cannot be read: {error}") from error
