"""By the system calls of a whole run: reducers read shared files directly, and no socket carries the data."""

from __future__ import annotations

import hashlib
import re
import shutil

import pytest

from tests.integration.harness import Ended, Stage, write_job

if shutil.which("strace") is None:
    pytest.skip("strace is not installed", allow_module_level=True)

SALTED = """
    import hashlib
    class Salted(Job):
        '''Its intermediate values occur neither in its input, nor in its output, nor in itself.'''
        def map(self, record):
            yield int(record) % 3, hashlib.md5(b"salt" + record.encode()).hexdigest()
        def reduce(self, key, values):
            yield key, len(set(values))
"""

RECORDS = 30
CALLS = (
    "openat,pwrite64,pwritev,write,writev,sendto,sendmsg,preadv,preadv2,pread64,fsync,fdatasync,dup2,rename"
)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of a trace of a whole embedded run; paths stand beside descriptors (strace -y)."""
    stage = Stage(tmp_path_factory.mktemp("traced") / "stage")
    try:
        (stage.folder / "input").write_text("".join(f"{number}\n" for number in range(RECORDS)))
        trace = stage.folder / "trace"
        submitter = stage.start(
            write_job(stage.folder, SALTED), "input", "-o", "out", "--reducers", 2,
            prefix=["strace", "-f", "-y", "-qq", "-s", "1000000", "-o", str(trace), "-e", f"trace={CALLS}"],
        )  # fmt: skip
        ended: Ended = submitter.wait(90)
        assert ended.code == 0, ended.stderr
        return trace.read_text(errors="replace").splitlines()
    finally:
        stage.kill_everything()


def values() -> list[str]:
    """The intermediate values of the run."""
    return [hashlib.md5(b"salt" + str(number).encode()).hexdigest() for number in range(RECORDS)]


def test_the_values_stand_in_shared_files(traced: list[str]) -> None:
    written = [line for line in traced if re.search(r"pwrite(64|v)\(\d+<[^>]*/shared-\d+>", line)]
    assert all(any(value in line for line in written) for value in values())


def test_no_socket_and_no_pipe_carries_a_value(traced: list[str]) -> None:
    sent = [
        line
        for line in traced
        if re.search(r"(write|writev|sendto|sendmsg)\(\d+<(socket|TCP|UNIX|pipe)", line)
    ]
    assert len(sent) > 20, "the trace shows what is sent"
    assert not [line for line in sent if any(value in line for value in values())]


def test_reducers_open_shared_files_for_direct_reads_only(traced: list[str]) -> None:
    opened = [
        line
        for line in traced
        if "openat(" in line and re.search(r'/shared-\d+"', line) and "ENOENT" not in line
    ]
    readers = [line for line in opened if "O_RDONLY" in line]
    assert readers
    assert all("O_DIRECT" in line for line in readers)
    writers = [line for line in opened if "O_RDWR" in line]
    assert writers
    assert not [line for line in writers if "O_TRUNC" in line]


def test_each_map_output_is_flushed_after_its_last_write_and_before_it_is_told(traced: list[str]) -> None:
    wrote: dict[str, str] = {}
    flushed = 0
    for line in traced:
        pid = line.split()[0]
        if re.search(r"pwrite64\(\d+<[^>]*/shared-", line):
            wrote[pid] = "written"
        elif re.search(r"fsync\(\d+<[^>]*/shared-", line):
            wrote[pid] = "flushed"
            flushed += 1
        elif re.search(r"sendto\(\d+<(socket|UNIX)", line) and "PublishMapOutput" in line:
            assert wrote[pid] == "flushed"
    assert flushed > 0
