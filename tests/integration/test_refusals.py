"""What cannot be done as asked is said in one line that helps, with exit code 2, and nothing is touched."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.harness import (
    DEADLINE,
    EXAMPLES,
    WORDCOUNT,
    Daemons,
    Stage,
    lines_of,
    wait_for,
    write_job,
)

JOB_FILES = {
    "syntax error": ("class Broken(Job):\n    def map(self, record)\n        pass\n", "line 3: expected ':'"),
    "no job": ("x = 1\n", "no subclass of blfs_mr.Job"),
    "two jobs": (
        "class A(Job):\n    def map(self, r): yield r, 1\n    def reduce(self, k, v): yield k, 1\n"
        "class B(A): pass\n",
        "--job-class A",
    ),
    "raises": ("def helper():\n    return 1 / 0\nhelper()\n", "ZeroDivisionError: division by zero"),
    "exits": ("raise SystemExit(3)\n", 'if __name__ == "__main__"'),
    "no map": ("class A(Job):\n    def reduce(self, k, v): yield k, 1\n", "map"),
    "setting": (
        "class A(Job):\n    reducers = -1\n    def map(self, r): yield r, 1\n"
        "    def reduce(self, k, v): yield k, 1\n",
        "reducers = -1",
    ),
}


@pytest.fixture
def source(stage: Stage) -> Path:
    path = stage.folder / "input.txt"
    path.write_text("some words\n")
    return path


@pytest.mark.parametrize("name", JOB_FILES)
def test_a_job_file_that_cannot_be_used_is_explained(stage: Stage, source: Path, name: str) -> None:
    program, said = JOB_FILES[name]
    ended = stage.submit(write_job(stage.folder, program), source, "-o", "out")
    assert ended.code == 2, ended.stderr
    assert said in ended.stderr
    assert "blfs_mr/" not in ended.stderr.replace("blfs_mr.Job", "")
    assert not (stage.folder / "out").exists()
    assert stage.left_behind() == ({}, [])


def test_a_refusal_does_not_wait_for_the_cluster_that_was_about_to_start(stage: Stage, source: Path) -> None:
    job = write_job(stage.folder, JOB_FILES["no job"][0])
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        assert stage.submit(job, source).code == 2
        seconds.append(time.monotonic() - began)
    # Daemons that did not hear that it is over are killed after 5 s.
    assert statistics.median(seconds) < 4


def test_a_job_file_that_raises_shows_the_users_own_traceback(stage: Stage, source: Path) -> None:
    job = write_job(stage.folder, JOB_FILES["raises"][0])
    ended = stage.submit(job, source)
    assert f'File "{job}", line 4, in <module>' in ended.stderr
    assert f'File "{job}", line 3, in helper' in ended.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "parameter 'pattern' is required: --param pattern="),
        (["-p", "pattern=x", "-p", "patern=y"], "did you mean 'pattern'"),
        (["-p", "pattern=x", "-p", "ignore_case=perhaps"], "ignore_case='perhaps' is not of type bool"),
        (["-p", "pattern"], "not of the form NAME=VALUE"),
        (["-p", "pattern=x", "--reducers", "0"], "--reducers"),
        (["-p", "pattern=x", "--memory", "much"], "--memory"),
        (["-p", "pattern=x", "--job-class", "Grap"], "those it has: Grep"),
        (["-p", "pattern=x", "--config", "absent.toml"], "absent.toml: cannot be read"),
        (["-p", "pattern=x", "--master", "nonsense"], "give HOST:PORT"),
    ],
)
def test_an_option_that_cannot_be_met_is_explained(
    stage: Stage, source: Path, options: list[str], said: str
) -> None:
    ended = stage.submit(EXAMPLES / "grep.py", source, *options)
    assert ended.code == 2, ended.stderr
    assert said in ended.stderr
    assert stage.left_behind() == ({}, [])


def test_an_input_that_cannot_be_read_is_named(stage: Stage, source: Path) -> None:
    (stage.folder / "empty").mkdir()
    os.mkfifo(stage.folder / "pipe")
    for given, said in (
        ("absent.txt", "no such input: absent.txt"),
        ("absent/*.txt", "no input file matches absent/*.txt"),
        ("empty", "no input file in the folder empty"),
        ("pipe", "is a pipe"),
    ):
        ended = stage.submit(WORDCOUNT, source, given, "-o", "out")
        assert (ended.code, ended.stdout) == (2, b"")
        assert said in ended.stderr
        assert not (stage.folder / "out").exists()
    assert stage.left_behind() == ({}, [])


def test_an_output_that_exists_is_left_as_it_is(stage: Stage, source: Path) -> None:
    output = stage.folder / "out"
    output.mkdir()
    (output / "precious").write_text("mine")
    before = output.stat().st_mtime_ns
    ended = stage.submit(WORDCOUNT, source, "-o", output)
    assert ended.code == 2
    assert ended.stderr.splitlines()[-1] == (
        f"error: the output {output} exists already: remove it, or name another"
    )
    assert [path.name for path in output.iterdir()] == ["precious"]
    assert output.stat().st_mtime_ns == before
    assert stage.left_behind() == ({}, [])


def test_an_output_below_a_file_is_refused(stage: Stage, source: Path) -> None:
    ended = stage.submit(WORDCOUNT, source, "-o", source / "out")
    assert ended.code == 2
    assert "cannot be made: Not a directory" in ended.stderr


# ---------------------------------------------------------------- masters that are not the right one


def test_a_master_that_is_not_there_is_said_to_be_not_there(stage: Stage, source: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    secret = stage.folder / ".local/state/blfs-mr/secret"
    secret.parent.mkdir(parents=True)
    secret.write_text(secrets.token_hex(32))
    ended = stage.submit(WORDCOUNT, source, "--master", f"127.0.0.1:{port}")
    assert ended.code == 1
    assert f"cannot connect to 127.0.0.1:{port}: Connection refused" in ended.stderr
    assert "is the master running there?" in ended.stderr


def test_a_submitter_without_a_secret_is_told_where_it_should_be(stage: Stage, source: Path) -> None:
    ended = stage.submit(WORDCOUNT, source, "--master", "127.0.0.1:1")
    assert ended.code == 2
    assert "there is no cluster secret at" in ended.stderr


@pytest.mark.parametrize(
    ("cluster", "right_secret", "said"), [("integration", False, "secret"), ("another", True, "cluster")]
)
def test_a_master_of_another_secret_or_cluster_is_refused(
    shared_daemons: Daemons, stage: Stage, source: Path, cluster: str, right_secret: bool, said: str
) -> None:
    right = (shared_daemons.home / "secret").read_text()
    secret = stage.folder / "secret"
    secret.write_text(right if right_secret else hashlib.sha256(right.encode()).hexdigest())
    secret.chmod(0o600)
    config = stage.folder / "config.toml"
    config.write_text(f'home = "{stage.folder}"\n[cluster]\nid = "{cluster}"\n')
    ended = stage.submit(
        WORDCOUNT, source, "-o", "out", "--master", f"127.0.0.1:{shared_daemons.port}", "--config", config
    )
    assert ended.code in (1, 2)
    assert said in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert not (stage.folder / "out").exists()


def test_a_master_whose_port_is_taken_says_so(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        config = stage.folder / "config.toml"
        config.write_text(f'home = "{stage.folder}/home"\n[master]\nport = {port}\n')
        ended = subprocess.run(
            [sys.executable, "-m", "daemons.master", "--config", str(config)],
            cwd=stage.folder, env=stage.environment, capture_output=True, timeout=DEADLINE, check=False,
        )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith(f"error: port {port} of 127.0.0.1 is in use by another process")
    assert ended.stderr.count(b"\n") == 1


def test_garbage_on_the_masters_port_disturbs_no_job(
    shared_daemons: Daemons, source: Path, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    job = write_job(tmp_path, """
        import os
        class Held(Job):
            hold = Param(str)
            def map(self, record):
                open(self.hold, "w").close()
                while os.path.exists(self.hold):
                    os.sched_yield()
                yield record, 1
            def reduce(self, key, values): yield key, sum(values)
        """)  # fmt: skip
    submitter = shared_daemons.start(job, source, "-p", f"hold={hold}", "-o", tmp_path / "out")
    wait_for(hold.exists, "the map runs")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100_000, b"\x00\x00\x00\x01\xc1", b"", b"\x00\x00"):
        with socket.create_connection(("127.0.0.1", shared_daemons.port), timeout=DEADLINE) as sock:
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            try:
                while sock.recv(4096):
                    pass
            except ConnectionResetError:
                pass  # It does not read to the end of what it refuses.
    hold.unlink()
    ended = submitter.wait()
    assert ended.code == 0, ended.stderr
    assert lines_of(tmp_path / "out") == [b"some words\t1\n"]
