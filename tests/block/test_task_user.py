"""Tasks of a user of their own over volumes on block devices: devices are closed to them, jobs are right."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blfs_mr.linux import read_mounts
from blfs_mr.volume.verify import verify_volume
from tests.block.cluster import attached_disks
from tests.block.disks import KINDS
from tests.integration.another_user import TASK_USER, reachable_python, why_not
from tests.integration.harness import Stage, lines_of, running_daemons, write_job

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(why_not()), reason=why_not())]

PRYING = """
    import errno
    class Prying(Job):
        '''Counts words, and tells in how many tasks each of some places could be opened.'''
        places = Param(str)
        def map(self, record):
            for word in record.split():
                yield word, 1
        def pry(self):
            for place in self.places.split(":"):
                for mode in ("rb", "r+b"):
                    try:
                        open(place, mode).close()
                    except OSError as error:
                        # A peer's volume is read-only to everybody.
                        allowed = (errno.EACCES,) if mode == "rb" else (errno.EACCES, errno.EROFS)
                        self.count("refused" if error.errno in allowed else f"{place}: {error}")
                    else:
                        self.count(f"opened {place}")
        def setup(self):
            self.pry()
        def reduce(self, key, values):
            yield key, sum(values)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="blfs-mr-task-user-"))
    folder.chmod(0o755)
    yield folder
    mounted = [mount.point for mount in read_mounts() if mount.point.startswith(f"{folder}/")]
    assert mounted == [], "nothing is deleted while it is mounted"
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_user_code_can_open_no_volume_and_its_job_is_right(kind: str, open_folder: Path, loops: None) -> None:
    stage = Stage(open_folder / "stage", python=reachable_python())
    source = open_folder / "words.txt"
    source.write_text("".join(f"word{number % 701} word{number % 7}\n" for number in range(20_000)))
    job = write_job(open_folder, PRYING)
    output = open_folder / "out"
    with attached_disks(open_folder / "disks", kind) as attached:
        places = [place for disk in attached.disks for place in (disk.owner, disk.peer)]
        if kind != "raw":
            places += [f"{disk.mount}/shared-00000" for disk in attached.disks]
            places += [f"{disk.peer_mount}/shared-00000" for disk in attached.disks]
        worker = f"task_user = '{TASK_USER}'\nscratch = '{open_folder}/scratch/{{name}}'\n{attached.worker}"
        with running_daemons(stage, worker=worker) as daemons:
            ended = daemons.submit(
                job, source, "-p", f"places={':'.join(places)}", "--split-size", "32KiB", "--reducers", "3",
                "-o", output,
            )  # fmt: skip
            assert ended.code == 0, ended.stderr + daemons.log.read_text()
            (line,) = [line for line in ended.stderr.splitlines() if "refused" in line]
            assert "opened" not in ended.stderr
            assert "disks" not in ended.stderr, line
            daemons.stop()
        for disk in attached.disks:
            result = verify_volume(disk.peers)
            assert result.findings == []
            assert result.written > 0
            assert disk.sectors_that_the_peer_wrote() == 0
    counts = dict(line.rstrip().split(b"\t") for line in lines_of(output))
    assert sum(map(int, counts.values())) == 40_000
