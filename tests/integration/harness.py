"""What these tests need to run the real thing as processes: submitters, daemons, and eyes on what they leave.

Every process that a test starts inherits a mark of its own in its environment, as do all of their
descendants, whatever session or process group they move to: the mark finds them in ``/proc`` when nothing
may be left of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import site
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from blfs_mr.errors import BlfsMrError
from blfs_mr.submission.client import Client, read_secret

if TYPE_CHECKING:
    from blfs_mr.wire.messages.client import ClusterDescription

EXAMPLES = Path(__file__).parents[2] / "blfs_mr" / "examples"
WORDCOUNT = EXAMPLES / "wordcount.py"

DEADLINE = 90.0
"""Seconds for anything to happen that takes a second at most on an idle machine. These may be busy."""

POLL = 0.01
"""Seconds between two looks at a condition."""

MARK = "BLFS_TEST_MARK"

Seen = TypeVar("Seen")


def wait_for(condition: Callable[[], Seen], what: str, deadline: float = DEADLINE) -> Seen:
    """Look until ``condition`` holds, and return what it saw; fail with ``what`` did not come about."""
    end = time.monotonic() + deadline
    while not (seen := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline:g} s")
        time.sleep(POLL)
    return seen


def marked(mark: str) -> dict[int, str]:
    """The living processes with this mark in their environment, and their command lines."""
    found: dict[int, str] = {}
    needle = f"{MARK}={mark}\0".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if needle in Path(f"/proc/{entry}/environ").read_bytes() + b"\0":
                found[int(entry)] = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def listening() -> dict[str, str]:
    """The sockets of this host that listen, by inode, with their addresses (proc(5), net/tcp: state 0A)."""
    lines = [
        line for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {row[9]: row[1] for row in map(str.split, lines) if row[3] == "0A"}


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def parts_of(output: Path) -> list[bytes]:
    """The contents of the parts in an output folder, in their order."""
    return [path.read_bytes() for path in sorted(output.glob("part-*"))]


def lines_of(output: Path) -> list[bytes]:
    """All lines of all parts, sorted."""
    return sorted(b"".join(parts_of(output)).splitlines(keepends=True))


def write_job(folder: Path, source: str, name: str = "job.py") -> Path:
    """A job file in ``folder``."""
    path = folder / name
    path.write_text("from blfs_mr import Job, Param\n" + textwrap.dedent(source))
    return path


@dataclass(frozen=True, slots=True)
class Ended:
    """How a submitter ended."""

    code: int
    stdout: bytes
    stderr: str


@dataclass(slots=True)
class Submitter:
    """A submitter that runs. What it says goes to files, so that no full pipe holds it up."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def wait(self, deadline: float = DEADLINE) -> Ended:
        """How it ended; killed, with a failure, when it does not."""
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the submitter did not end; it said: {self.stderr.read_text()}") from None
        return Ended(code, self.stdout.read_bytes(), self.stderr.read_text(errors="replace"))


@dataclass(slots=True)
class Stage:
    """A folder, a mark and the environment in which processes of one test run."""

    folder: Path
    mark: str = field(default_factory=lambda: os.urandom(8).hex())
    python: str = sys.executable
    _started: int = 0

    def __post_init__(self) -> None:
        self.temporary.mkdir(parents=True)

    @property
    def temporary(self) -> Path:
        """The only place for temporary files."""
        return self.folder / "tmp"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing that this machine's user has configured counts."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BLFS_")}
        if self.python != sys.executable:
            # Another Python of this version: what these tests' own has installed will do for it.
            kept["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *site.getsitepackages()])
        return kept | {MARK: self.mark, "TMPDIR": str(self.temporary), "HOME": str(self.folder)}

    def start(self, *arguments: object, prefix: Sequence[str] = ()) -> Submitter:
        """Start a submitter in a process group of its own, as a shell does."""
        self._started += 1
        stdout = self.folder / f"submit-{self._started}.stdout"
        stderr = self.folder / f"submit-{self._started}.stderr"
        with stdout.open("wb") as out, stderr.open("wb") as err:
            process = subprocess.Popen(
                [*prefix, self.python, "-m", "blfs_mr.submit", *map(str, arguments)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                process_group=0,
            )
        return Submitter(process, stdout, stderr)

    def submit(self, *arguments: object, deadline: float = DEADLINE) -> Ended:
        """Run a submitter to its end."""
        return self.start(*arguments).wait(deadline)

    def processes(self) -> dict[int, str]:
        """Everything that this test has started and that lives."""
        return marked(self.mark)

    def listening(self) -> dict[str, str]:
        """The listening sockets of this test's processes, with their addresses."""
        held = set()
        for pid in self.processes():
            for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
                with contextlib.suppress(OSError):
                    held.add(os.readlink(descriptor))
        return {inode: address for inode, address in listening().items() if f"socket:[{inode}]" in held}

    def left_behind(self) -> tuple[dict[int, str], list[str]]:
        """What must be empty after a run: processes, and what stands in the temporary folder."""
        return self.processes(), sorted(path.name for path in self.temporary.iterdir())

    def wait_until_nothing_is_left(self) -> None:
        """No process, no temporary file."""
        wait_for(lambda: self.left_behind() == ({}, []), f"nothing is left of {self.left_behind()}")

    def kill_everything(self) -> None:
        """Whatever a failed test leaves must not disturb others."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Daemons:
    """A master and workers on loopback, started as an operator would start them."""

    def __init__(
        self, stage: Stage, *, workers: int = 2, credentials: Path | None = None, **settings: str
    ) -> None:
        """``settings`` are sections of the configuration, as TOML.

        With ``credentials``, links have TLS: in there is a folder for each daemon's name and ``client``.
        """
        self.stage, self.home, self.port = stage, stage.folder / "home", free_port()
        self.config = stage.folder / "config.toml"
        self.log = stage.folder / "daemons.log"
        sections = {
            "cluster": 'id = "integration"',
            "worker": "slots = 1",
            "master": "",
            "logging": 'level = "INFO"',
            **settings,
        }
        sections["master"] += f"\nport = {self.port}\nheartbeat_interval = '200ms'\nworker_timeout = '10s'"
        text = "".join(f"[{name}]\n{body}\n" for name, body in sections.items())
        self._text, self._credentials = f'home = "{self.home}"\n{text}', credentials
        self.config.write_text(self._text + self._tls("client"))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.start_master()
        for number in range(workers):
            self.start_worker(f"worker-{number}")
        self.wait_for_workers(workers)

    @property
    def options(self) -> tuple[str, ...]:
        """What ``submit`` must be told to use these daemons."""
        return ("--master", f"127.0.0.1:{self.port}", "--config", str(self.config))

    def submit(self, *arguments: object, deadline: float = DEADLINE) -> Ended:
        """Run a submitter to its end."""
        return self.stage.submit(*arguments, *self.options, deadline=deadline)

    def start(self, *arguments: object) -> Submitter:
        """Start a submitter."""
        return self.stage.start(*arguments, *self.options)

    def start_master(self) -> None:
        """Start the master, and wait until it answers."""
        self._start("master", "daemons.master", "--config", self._config_of("master"))
        wait_for(self.describe, f"the master answers; it said:\n{self.log.read_text()}")

    def start_worker(self, name: str) -> subprocess.Popen[bytes]:
        """Start a worker; it registers when it is ready."""
        return self._start(name, "daemons.worker", "--config", self._config_of(name), "--name", name)

    def describe(self) -> ClusterDescription | None:
        """What the master says of itself; None while there is none."""
        try:
            secret = read_secret(self.home / "secret")
            credentials = self._credentials / "client" if self._credentials else None
            client = Client("127.0.0.1", self.port, "integration", secret, credentials)
        except BlfsMrError:
            return None
        try:
            return client.describe()
        finally:
            client.close()

    def workers(self) -> dict[str, int]:
        """The registered workers, with the attempts that run on each."""
        description = self.describe()
        return {w.name: w.running for w in description.workers} if description else {}

    def wait_for_workers(self, count: int) -> None:
        """Until exactly so many are registered."""
        try:
            wait_for(lambda: len(self.workers()) == count, f"{count} workers are registered")
        except AssertionError as error:
            raise AssertionError(f"{error}; they said:\n{self.log.read_text()}") from None

    def wait_until_idle(self) -> None:
        """No attempt runs, and no process of one."""
        wait_for(lambda: not any(self.workers().values()), "no attempt runs")
        wait_for(lambda: not self.task_processes(), "no task process is left")

    def task_processes(self) -> list[int]:
        """The task processes, which launchers have forked, and what user code has started from them."""
        living = self.stage.processes()
        return [pid for pid in living if _fork_servers_above(pid, living) >= 2]

    def kill(self, name: str) -> None:
        """``kill -9`` of a daemon."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> dict[str, int]:
        """SIGTERM for all daemons, as systemd does it; their exit codes. Afterwards nothing may be left."""
        for process in self.processes.values():
            process.terminate()
        return {name: process.wait(DEADLINE) for name, process in self.processes.items()}

    def _tls(self, name: str) -> str:
        return "" if self._credentials is None else f'[tls]\nfolder = "{self._credentials / name}"\n'

    def _config_of(self, name: str) -> str:
        if self._credentials is None:
            return str(self.config)
        path = self.stage.folder / f"{name}.toml"
        path.write_text(self._text + self._tls(name))
        return str(path)

    def _start(self, name: str, module: str, *options: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [self.stage.python, "-m", module, *options],
                cwd=self.stage.folder,
                env=self.stage.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.processes[name]


HELD = """
    import os, time
    class Held(Job):
        '''Counts lines; each attempt waits for the gate, once it has said that it is there.'''
        gate = Param(str)
        method = Param(str, default="map")
        def wait(self, method):
            if self.method == method and os.path.exists(self.gate):
                open(f"{self.gate}.{os.getpid()}", "w").close()
                while os.path.exists(self.gate):
                    time.sleep(0.005)
        def map(self, record):
            self.wait("map")
            yield record, 1
        def reduce(self, key, values):
            self.wait("reduce")
            yield key, sum(values)
"""


class HeldJob:
    """A job whose attempts run, and go on only when the gate opens."""

    def __init__(
        self, start: Callable[..., Submitter], folder: Path, *options: object, attempts: int = 2
    ) -> None:
        self.output = folder / "held-out"
        self._gate = folder / "gate"
        self._gate.touch()
        source = folder / "held.txt"
        source.write_text("".join(f"line {number % 50}\n" for number in range(1000)))
        self.expected = sorted(f"line {number}\t20\n".encode() for number in range(50))
        job = write_job(folder, HELD, "held.py")
        self.submitter: Submitter = start(
            job, source, "-p", f"gate={self._gate}", "--split-size", "2KiB", "-o", self.output, *options
        )
        wait_for(lambda: len(self.pids()) >= attempts, f"{attempts} attempts run")

    def pids(self) -> list[int]:
        """The task processes that wait, or have waited."""
        return [int(path.suffix[1:]) for path in self._gate.parent.glob("gate.*")]

    def open(self) -> None:
        """Let all attempts go on, also those to come."""
        self._gate.unlink()

    def ends_well(self) -> str:
        """Open the gate; the result is right. What was said."""
        self.open()
        ended = self.submitter.wait()
        assert ended.code == 0, ended.stderr
        assert lines_of(self.output) == self.expected
        kept = {path.name for path in self.output.iterdir() if not path.name.startswith("part-")}
        assert kept == {".meta", "_SUCCESS"}
        return ended.stderr


def _fork_servers_above(pid: int, living: Mapping[int, str]) -> int:
    """How many spawners and launchers, which are forked from those, a process descends from."""
    found = 0
    with contextlib.suppress(OSError):
        while (pid := int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])) in living:
            found += "taskrun.spawner" in living[pid]
    return found


@contextlib.contextmanager
def running_daemons(stage: Stage, *, workers: int = 2, **settings: Any) -> Iterator[Daemons]:
    """Daemons that are stopped at the end in any case."""
    try:
        yield Daemons(stage, workers=workers, **settings)
    finally:
        stage.kill_everything()
