"""User code that speaks for its task process: what no attempt may say fails that attempt, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import WORDCOUNT, Daemons, lines_of, write_job

FORGING = """
    import gc
    from blfs_mr.blocking_link import BlockingLink
    from blfs_mr.model import Lease, PublishedFile, SharedFile
    from blfs_mr.wire.messages import child
    def found(kind):
        (one,) = [each for each in gc.get_objects() if isinstance(each, kind)]
        return one
    class Forging(Job):
        reducers = 1
        what = Param(str)
        def map(self, record):
            if self.what.startswith("map "):
                task, link = found(child.RunMapTask), found(BlockingLink)
                if self.what == "map publishes another's file":
                    other = SharedFile(task.own_volume.volume, "shared-00007", 0, 1 << 24)
                    file = PublishedFile(Lease(other, 1, task.attempt), bytes(16), 4096, 1)
                    link.request(child.PublishMapOutput(task.attempt, (file,), {}))
                elif self.what == "map commits":
                    link.send(child.OutputCommitted(task.attempt, 1))
            yield record, 1
        def reduce(self, key, values):
            if self.what.startswith("reduce "):
                task, link = found(child.RunReduceTask), found(BlockingLink)
                if self.what == "reduce commits unasked":
                    link.send(child.OutputCommitted(task.attempt, 1))
                elif self.what == "reduce publishes":
                    link.request(child.PublishMapOutput(task.attempt, (), {}))
                elif self.what == "reduce leases":
                    link.request(child.LeaseSharedFile(task.attempt))
            yield key, 1
"""


def works_as_before(daemons: Daemons, folder: Path) -> None:
    daemons.wait_until_idle()
    source, output = folder / "words", folder / "counted"
    source.write_text("a\n")
    assert daemons.submit(WORDCOUNT, source, "-o", output).code == 0
    assert lines_of(output) == [b"a\t1\n"]


MISLEADING = """
    from blfs_mr.taskrun import drainer
    def not_drained(task, watch, access):
        '''Name the original as its copy: a file that this worker has not made.'''
        return task.output
    drainer.drained = not_drained
    class Misleading(Job):
        def map(self, record): yield record, 1
        def reduce(self, key, values): yield key, 1
"""


def test_a_drain_that_tells_of_files_that_it_has_not_made_fails_its_job(
    start_daemons: Callable[..., Daemons], tmp_path: Path
) -> None:
    daemons = start_daemons(worker="slots = 1\nshared_files = 1\nshared_file_size = '64KiB'")
    job, source = write_job(tmp_path, MISLEADING), tmp_path / "input"
    source.write_text("line\n" * 1000)
    ended = daemons.submit(job, source, "--split-size", "512B", "-o", tmp_path / "out")
    assert ended.code == 1
    assert "tells of a copy that it cannot have made" in ended.stderr
    works_as_before(daemons, tmp_path)


GARBLING = """
    import gc
    from blfs_mr.taskrun.launcher import Launcher
    from blfs_mr.wire.messages.launcher import ChildExited
    for launcher in [found for found in gc.get_objects() if isinstance(found, Launcher)]:
        {saying}
    class Garbling(Job):
        def map(self, record): yield record, 1
        def reduce(self, key, values): yield key, 1
"""


@pytest.mark.parametrize(
    "saying",
    ["launcher._sock.sendall(bytes([0, 0, 0, 1, 0]))", "launcher.send(ChildExited('another', 0, 0, 0.0))"],
)
def test_what_a_job_file_says_in_its_launchers_name_fails_its_job_alone(
    shared_daemons: Daemons, tmp_path: Path, saying: str
) -> None:
    job, source = write_job(tmp_path, GARBLING.replace("{saying}", saying)), tmp_path / "input"
    source.write_text("a\n")
    ended = shared_daemons.submit(job, source, "-o", tmp_path / "out")
    assert ended.code == 1
    assert "the launcher died while it imported the job file" in ended.stderr
    works_as_before(shared_daemons, tmp_path)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("map publishes another's file", "PublishMapOutput"),
        ("map commits", "OutputCommitted"),
        ("reduce commits unasked", "OutputCommitted"),
        ("reduce publishes", "PublishMapOutput"),
        ("reduce leases", "LeaseSharedFile"),
    ],
)
def test_what_an_attempt_may_not_say_fails_it_alone(
    shared_daemons: Daemons, tmp_path: Path, what: str, message: str
) -> None:
    said_before = len(shared_daemons.log.read_text())
    job, source = write_job(tmp_path, FORGING), tmp_path / "input"
    source.write_text("a\n")
    ended = shared_daemons.submit(job, source, "-p", f"what={what}", "-o", tmp_path / "out")
    assert ended.code == 1
    assert f"killed: the task process sent a {message} that it may not send" in ended.stderr
    assert "left" not in shared_daemons.log.read_text()[said_before:], "workers keep their links"
    works_as_before(shared_daemons, tmp_path)
