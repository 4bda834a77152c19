"""Tasks of a user of their own: they get what they need, and nothing of the worker's or of other jobs."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from blfs_mr.errors import ConfigError
from blfs_mr.model import JobId
from daemons.job_folders import JobFolders
from daemons.task_user import TaskUser, find_task_user
from tests.integration.another_user import TASK_USER, can_reach, reachable_python, why_not
from tests.integration.harness import (
    EXAMPLES,
    WORDCOUNT,
    Daemons,
    HeldJob,
    Stage,
    lines_of,
    parts_of,
    running_daemons,
    wait_for,
    write_job,
)

PRYING = """
    import os
    class Prying(Job):
        '''Tells what came of opening each of some places, and what this process may do.'''
        places = Param(str)
        reducers = 1
        def look(self, place):
            try:
                os.listdir(place) if os.path.isdir(place) else open(place, "rb").read(1)
            except OSError as error:
                return type(error).__name__
            return "opened"
        def map(self, record):
            for place in self.places.split(":"):
                yield place, self.look(place)
            with open("/proc/self/status") as file:
                for line in file:
                    name, _, value = line.partition(":")
                    if name in ("Uid", "Gid", "Groups", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapAmb"):
                        yield name, " ".join(value.split())
        def reduce(self, key, values):
            yield key, next(values)
"""


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="blfs-mr-task-user-"))
    folder.chmod(0o755)
    # Where user code says that it is there.
    (folder / "public").mkdir()
    (folder / "public").chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(open_folder: Path) -> Iterator[Callable[..., Daemons]]:
    """Starts daemons whose tasks have a user of their own."""
    with ExitStack() as stack:

        def start(workers: int = 2, worker: str = "slots = 1") -> Daemons:
            settings = f"{worker}\ntask_user = '{TASK_USER}'\ngrace = '0s'\n"
            settings += f"scratch = '{open_folder}/scratch/{{name}}'"
            stage = Stage(open_folder / "stage", python=reachable_python())
            return stack.enter_context(running_daemons(stage, workers=workers, worker=settings))

        yield start


def told(output: Path) -> dict[str, str]:
    """What the prying job has found out."""
    return dict(line.decode().rstrip("\n").split("\t") for line in lines_of(output))


def left_on_scratch(daemons: Daemons) -> list[Path]:
    return [
        left
        for folder in ("jobs", "tasks")
        for place in daemons.stage.folder.parent.glob(f"scratch/*/{folder}")
        for left in place.iterdir()
    ]


def nothing_is_left(daemons: Daemons) -> None:
    daemons.wait_until_idle()
    wait_for(lambda: not left_on_scratch(daemons), f"scratch is empty: {left_on_scratch(daemons)}")


def test_user_code_can_open_neither_secret_nor_volume_nor_what_is_of_other_jobs(
    start: Callable[..., Daemons], open_folder: Path
) -> None:
    daemons = start(workers=2, worker="slots = 2")
    job = HeldJob(daemons.start, open_folder / "public", "-p", "method=reduce", "--reducers", "2")
    private = [daemons.home / "secret", *open_folder.glob("scratch/*/tasks")]
    private += [path for volume in daemons.home.glob("volumes/*") for path in (volume, *volume.iterdir())]
    private += [path for place in open_folder.glob("scratch/*/jobs") for path in (place, *place.rglob("*"))]
    # A process of another job: of the same user, and closed to others all the same.
    private += [Path(f"/proc/{pid}/{name}") for pid in job.pids() for name in ("environ", "maps", "cwd")]
    assert len(private) > 8
    (open_folder / "input").write_text("line\n")
    prying = write_job(open_folder, PRYING, "prying.py")
    places = ":".join(map(str, private))
    output = open_folder / "told"
    ended = daemons.submit(prying, open_folder / "input", "-p", f"places={places}", "-o", output)
    assert ended.code == 0, ended.stderr
    found = told(output)
    assert {found[str(place)] for place in private} == {"PermissionError"}
    user = pwd.getpwnam(TASK_USER)
    assert found["Uid"].split() == [str(user.pw_uid)] * 4
    assert found["Gid"].split() == [str(user.pw_gid)] * 4
    assert (found["Groups"], found["NoNewPrivs"]) == ("", "1")
    assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    job.ends_well()
    nothing_is_left(daemons)


def test_results_are_the_workers_and_not_the_tasks(start: Callable[..., Daemons], open_folder: Path) -> None:
    daemons = start()
    (open_folder / "input").write_text("a b a\n" * 1000)
    output = open_folder / "out"
    ended = daemons.submit(WORDCOUNT, open_folder / "input", "--split-size", "1KiB", "-o", output)
    assert ended.code == 0, ended.stderr
    assert lines_of(output) == [b"a\t2000\n", b"b\t1000\n"]
    for part in output.glob("part-*"):
        found = part.stat()
        assert (found.st_uid, found.st_gid) == (os.geteuid(), pwd.getpwnam(TASK_USER).pw_gid)
        assert not found.st_mode & 0o022


async def test_outputs_that_stay_on_a_worker_can_be_input_of_later_jobs(open_folder: Path) -> None:
    found = pwd.getpwnam(TASK_USER)
    user = TaskUser(TASK_USER, found.pw_uid, found.pw_gid, found.pw_dir)
    kept, output = open_folder / "output", open_folder / "output" / "by-day" / "counted"
    await JobFolders(open_folder / "scratch", kept, JobId("0" * 16), user).make_output(output)
    user.check_way_to(output, "its output")
    modes = {path: (path.stat().st_gid, path.stat().st_mode & 0o777) for path in (output.parent, output)}
    assert set(modes.values()) == {(user.gid, 0o750)}
    assert kept.stat().st_mode & 0o777 == 0o711


def test_a_columnar_result_is_written_through_the_opener_too(
    start: Callable[..., Daemons], open_folder: Path
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    if not can_reach(Path(pyarrow.__file__)):
        pytest.skip(
            f"{TASK_USER} cannot reach the pyarrow that is installed in {Path(pyarrow.__file__).parent}"
        )
    daemons = start()
    records = [os.urandom(100) for _ in range(5_000)]
    (open_folder / "records").write_bytes(b"".join(records))
    output = open_folder / "out"
    ended = daemons.submit(
        EXAMPLES / "arrow_sort.py",
        open_folder / "records",
        "--split-size",
        "100KiB",
        "--reducers",
        "3",
        "-o",
        output,
    )
    assert ended.code == 0, ended.stderr
    assert b"".join(parts_of(output)) == b"".join(sorted(records, key=lambda record: record[:10]))


def test_map_outputs_are_drained_for_tasks_of_another_user_too(
    start: Callable[..., Daemons], open_folder: Path
) -> None:
    daemons = start(worker="slots = 1\nshared_files = 1\nshared_file_size = '64KiB'")
    options = ("-p", "method=reduce", "--reducers", "2")
    job = HeldJob(daemons.start, open_folder / "public", *options)
    drained = list(open_folder.glob("scratch/*/jobs/*/drained/shared-*"))
    assert drained
    assert {path.stat().st_uid for path in drained} == {os.geteuid()}
    job.ends_well()
    nothing_is_left(daemons)


def test_an_attempt_gets_nothing_from_its_opener_that_it_was_not_told_of(
    start: Callable[..., Daemons], open_folder: Path
) -> None:
    daemons = start(workers=1)
    job = write_job(open_folder, """
        import gc
        from blfs_mr.errors import BlfsMrError
        from blfs_mr.model import SharedFile
        from blfs_mr.taskrun.access import OpenerAccess
        from blfs_mr.wire.messages.opener import OpenForRead, OpenForWrite
        class Greedy(Job):
            def map(self, record):
                (opener,) = [found for found in gc.get_objects() if isinstance(found, OpenerAccess)]
                other = SharedFile(record, "shared-00007", 0, 1 << 24)
                for request in (OpenForRead(other), OpenForWrite(other)):
                    try:
                        opener.opened(request)
                    except BlfsMrError as error:
                        yield type(request).__name__, "what this attempt was not given" in str(error)
            def reduce(self, key, values): yield key, next(values)
        """)  # fmt: skip
    volume = (daemons.home / "volumes" / "worker-0" / "volume.json").read_text()
    (open_folder / "input").write_text(volume.partition('"volume": "')[2][:32] + "\n")
    output = open_folder / "out"
    ended = daemons.submit(job, open_folder / "input", "-o", output)
    assert ended.code == 0, ended.stderr
    assert set(told(output).values()) == {"True"}
    assert set(told(output)) == {"OpenForRead", "OpenForWrite"}


LEAVES_THINGS = """
    import os, subprocess, time
    class Messy(Job):
        '''Leaves a process in a session of its own, and a folder that nobody else can enter.'''
        gate = Param(str)
        def map(self, record):
            os.makedirs("closed/inner")
            open("closed/inner/file", "w").close()
            os.chmod("closed/inner", 0)
            os.chmod("closed", 0o700)
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            open(self.gate, "w").close()
            time.sleep(1000)
            yield record, 1
        def reduce(self, key, values): yield key, 1
"""


@pytest.mark.parametrize("victim", ["submitter", "worker", "stopped worker"])
def test_nothing_is_left_of_a_job_of_another_user_whatever_dies(
    start: Callable[..., Daemons], open_folder: Path, victim: str
) -> None:
    daemons = start(workers=1)
    gate = open_folder / "public" / "gate"
    (open_folder / "input").write_text("line\n")
    job = write_job(open_folder, LEAVES_THINGS, "messy.py")
    submitter = daemons.start(job, open_folder / "input", "-p", f"gate={gate}")
    wait_for(lambda: gate.exists(), "it runs")
    assert any("sleep 1000" in command for command in daemons.stage.processes().values())
    match victim:
        case "submitter":
            submitter.process.send_signal(signal.SIGKILL)
        case "worker":
            daemons.kill("worker-0")
        case "stopped worker":
            daemons.processes["worker-0"].terminate()
            assert daemons.processes["worker-0"].wait(30) == 0
    if victim != "submitter":
        wait_for(
            lambda: not any("taskrun" in c or "sleep 1000" in c for c in daemons.stage.processes().values()),
            "task processes die with their worker",
        )
        daemons.start_worker("worker-0")
        daemons.wait_for_workers(1)
        submitter.process.send_signal(signal.SIGKILL)
    submitter.wait()
    nothing_is_left(daemons)
    assert not any("sleep 1000" in command for command in daemons.stage.processes().values())


def test_a_task_user_that_would_be_no_protection_is_refused() -> None:
    for name, why in (("root", "is root or the worker's own user"), ("nobody-at-all", "there is no user")):
        with pytest.raises(ConfigError, match=why):
            find_task_user(name)


def test_a_scratch_that_tasks_cannot_get_to_stops_the_worker_with_what_to_do(
    start: Callable[..., Daemons], open_folder: Path
) -> None:
    daemons = start(workers=0)
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    text = daemons.config.read_text()
    daemons.config.write_text(text.replace(f"{open_folder}/scratch", f"{closed}/scratch"))
    assert daemons.start_worker("worker-0").wait(30) == 2
    assert f"cannot enter {closed}, mode 0700: `chmod o+x {closed}`" in daemons.log.read_text()
