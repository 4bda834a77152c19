"""Whatever user code does, the run ends, and its author learns what happened and on which record."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import Daemons, Ended, lines_of, parts_of, wait_for, write_job

GOOD = {
    "setup": "pass",
    "map": "yield record, 1",
    "combine": "yield key, sum(values)",
    "reduce": "yield key, sum(values)",
    "partition": "return 0",
    "cleanup": "pass",
}
PARAMETERS = {
    "setup": "self",
    "map": "self, record",
    "combine": "self, key, values",
    "reduce": "self, key, values",
    "partition": "self, key, partitions",
    "cleanup": "self",
}


def program(settings: str = "max_attempts = 1", **methods: str) -> str:
    """A job whose methods are good but for those given."""
    lines = ["class Odd(Job):", *(f"    {line}" for line in settings.splitlines())]
    for name, body in {**GOOD, **methods}.items():
        lines.append(f"    def {name}({PARAMETERS[name]}):")
        lines += [f"        {line}" for line in body.splitlines()]
    return "\n".join(lines) + "\n"


Run = Callable[..., Ended]


@pytest.fixture
def run(shared_daemons: Daemons, tmp_path: Path) -> Run:
    """Runs a job over the lines ``good``, ``poison`` and ``poison``."""
    (tmp_path / "input.txt").write_text("good\npoison\npoison\n")

    def run(source: str, *options: object) -> Ended:
        job = write_job(tmp_path, source)
        return shared_daemons.submit(job, tmp_path / "input.txt", "-o", tmp_path / "out", *options)

    return run


def failed(ended: Ended, tmp_path: Path) -> str:
    """What was said of a job that failed as it should."""
    assert ended.code == 1, ended.stderr
    assert not (tmp_path / "out").exists()
    assert "blfs_mr/" not in ended.stderr, "frames of ours help nobody"
    assert ended.stderr.splitlines()[-1].startswith("error: the job failed: ")
    return ended.stderr


@pytest.mark.parametrize("method", ["setup", "map", "combine", "reduce", "partition", "cleanup"])
def test_an_exception_comes_with_its_traceback_and_the_record_or_key(
    run: Run, tmp_path: Path, method: str
) -> None:
    at_fault = {"map": "record", "combine": "key", "reduce": "key", "partition": "key"}.get(method)
    condition = f"if {at_fault} == 'poison':\n    " if at_fault else ""
    body = f"{condition}raise ValueError('as ' + 'told')\n{GOOD[method]}"
    said = failed(run(program(**{method: body})), tmp_path)
    assert f", in {method}\n" in said
    assert "raise ValueError('as ' + 'told')" in said
    assert f"{method} raised ValueError: as told" in said
    if at_fault:
        assert "the record at fault: 'poison'" in said


YIELDS = {
    "no pair": ("yield record", "pair"),
    "three": ("yield 1, 2, 3", "pair"),
    "a value that cannot be carried": ("yield record, object()", "object"),
    "a function": ("yield record, len", "builtin_function_or_method"),
    "a key that cannot be one": ("yield [record], 1", "list"),
    "not a number": ("yield float('nan'), 1", "NaN"),
    "keys without an order": ("yield (1 if record == 'good' else 'a'), 1", "order"),
    "no generator": ("return 3", "int"),
}


@pytest.mark.parametrize("name", YIELDS)
def test_what_cannot_be_carried_is_named(run: Run, tmp_path: Path, name: str) -> None:
    body, told = YIELDS[name]
    said = failed(run(program(map=body, combine="yield key, 1", reduce="yield str(key), 1")), tmp_path)
    assert told.lower() in said.lower()


def test_what_reduce_may_not_yield_is_named(run: Run, tmp_path: Path) -> None:
    assert "reduce must yield (key, value) pairs" in failed(run(program(reduce="yield key")), tmp_path)


@pytest.mark.parametrize("method", ["map", "reduce"])
def test_a_task_that_exits_is_told_not_to(run: Run, tmp_path: Path, method: str) -> None:
    said = failed(run(program(**{method: "import sys\nsys.exit('enough')\nyield"})), tmp_path)
    assert f"{method} called sys.exit('enough')" in said


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import os\nos._exit(7)\nyield", "ended with exit code 7 and no report"),
        ("import os\nos._exit(0)\nyield", "ended with exit code 0 and no report"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\nyield", "killed by signal 9"),
        ("import ctypes\nctypes.string_at(0)\nyield", "killed by signal 11"),
        ("import os\nos.closerange(3, 100)\nyield record, 1", "the task process"),
    ],
)
def test_a_task_process_that_just_ends_is_noticed(run: Run, tmp_path: Path, body: str, told: str) -> None:
    assert told in failed(run(program(map=body)), tmp_path)


def test_an_exception_is_tried_again_as_often_as_the_job_allows(run: Run, tmp_path: Path) -> None:
    said = failed(run(program("max_attempts = 3", map="1 / 0\nyield")), tmp_path)
    assert said.count("it is tried again") == 2
    assert "map-00000 failed 3 times" in said


def test_a_failure_that_passes_costs_nothing_but_an_attempt(run: Run, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    body = (
        f"import os\nif not os.path.exists({str(flag)!r}):\n    open({str(flag)!r}, 'w').close()\n    1 / 0\n"
    )
    for method in ("map", "reduce"):
        flag.unlink(missing_ok=True)
        ended = run(program("", **{method: body + GOOD[method]}))
        assert ended.code == 0, ended.stderr
        assert "1 attempts failed" in ended.stderr or "1 attempt failed" in ended.stderr
        assert lines_of(tmp_path / "out") == [b"good\t1\n", b"poison\t2\n"]
        for path in (tmp_path / "out").iterdir():
            path.unlink()
        (tmp_path / "out").rmdir()


def test_megabytes_of_output_of_a_task_spoil_nothing(
    run: Run, shared_daemons: Daemons, tmp_path: Path
) -> None:
    noise = "import sys\nfor stream in (sys.stdout, sys.stderr):\n    stream.write('noise\\n' * 500_000)\n"
    ended = run(program(map=noise + "print(record)\nyield record, 1"))
    assert ended.code == 0, ended.stderr
    assert ended.stdout == b""
    assert "noise" not in ended.stderr
    assert lines_of(tmp_path / "out") == [b"good\t1\n", b"poison\t2\n"]


def test_the_end_of_stderr_comes_with_a_failure(run: Run, tmp_path: Path) -> None:
    body = "import os\nos.write(2, b'x' * 10_000_000 + b'\\nthe last words\\n')\nos._exit(3)\nyield"
    said = failed(run(program(map=body)), tmp_path)
    assert "the last words" in said
    assert len(said) < 20_000


@pytest.mark.parametrize("leaves_session", [False, True])
def test_processes_that_user_code_starts_do_not_outlive_the_job(
    run: Run, shared_daemons: Daemons, tmp_path: Path, leaves_session: bool
) -> None:
    pids = tmp_path / "pids"
    body = f"""
        import os, signal
        if os.fork() == 0:
            if {leaves_session}:
                os.setsid()
                if os.fork():
                    os._exit(0)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            with open({str(pids)!r}, "a") as file:
                file.write(str(os.getpid()) + "\\n")
            while True:
                signal.pause()
        while not os.path.exists({str(pids)!r}):
            os.sched_yield()
        yield record, 1
    """.replace("\n        ", "\n").strip()
    ended = run(program(map=body))
    assert ended.code == 0, ended.stderr
    started = [int(line) for line in pids.read_text().split()]
    assert started
    wait_for(lambda: not set(started) & set(shared_daemons.stage.processes()), "they are gone")


def test_a_task_that_takes_too_long_is_killed(run: Run, tmp_path: Path) -> None:
    said = failed(
        run(program("max_attempts = 1\ntask_timeout = '300ms'", map="while True: pass\nyield")), tmp_path
    )
    assert "killed: it took longer than 0.3 s" in said


def test_a_key_that_is_its_own_repr_bomb_is_shown_shortened(run: Run, tmp_path: Path) -> None:
    said = failed(
        run(program(map="yield 'k' * 1_000_000, 1", combine="1 / 0\nyield", reduce="1 / 0\nyield")), tmp_path
    )
    assert "(1000002 characters)" in said
    assert len(said) < 20_000


def test_user_code_sees_no_descriptor_and_no_secret_of_ours(
    run: Run, shared_daemons: Daemons, tmp_path: Path
) -> None:
    body = """
        import os
        for fd in os.listdir('/proc/self/fd'):
            try:
                yield os.readlink('/proc/self/fd/' + fd), 1
            except OSError:
                pass
    """.replace("\n        ", "\n").strip()
    ended = run(program(map=body), "--reducers", 1)
    assert ended.code == 0, ended.stderr
    held = [line.split(b"\t")[0].decode() for line in b"".join(parts_of(tmp_path / "out")).splitlines()]
    assert not [path for path in held if path.endswith(("secret", "master.epoch", "journal"))]
    # stdin, stdout, stderr, the link to the worker, the volume's lock, the input and its shared file,
    # and the folder that is being listed.
    assert len([path for path in held if path.startswith("socket:")]) == 1, held


def test_user_code_gets_no_input_from_stdin(run: Run, tmp_path: Path) -> None:
    ended = run(program(map="import sys\nyield repr(sys.stdin.read()), 1"))
    assert ended.code == 0, ended.stderr
    assert lines_of(tmp_path / "out") == [b"''\t3\n"]


def test_the_environment_of_a_task_is_the_daemons(run: Run, tmp_path: Path) -> None:
    ended = run(program(map="import os\nyield os.environ['TMPDIR'] and str(os.getuid()), 1"))
    assert ended.code == 0, ended.stderr
    assert lines_of(tmp_path / "out") == [f"{os.getuid()}\t3\n".encode()]


FORKS = """
    import os
    class Forks(Job):
        memory = "48MiB"
        reducers = 1
        def shared_files(self):
            links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
            return sum("/shared-0" in os.readlink(link) for link in links if os.path.islink(link))
        def map(self, record):
            for number in range(40):
                yield str(number), "x" * (1 << 20)
            ours, (reading, writing) = self.shared_files(), os.pipe()
            pid = os.fork()
            if pid == 0:
                os.write(writing, b"%d" % self.shared_files())
                os._exit(0)
            os.waitpid(pid, 0)
            yield "files", [ours, int(os.read(reading, 10))]
        def reduce(self, key, values):
            for value in values:
                if key == "files":
                    yield key, value
"""


def test_what_user_code_forks_holds_no_file_that_is_leased_to_its_attempt(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    job, source, output = write_job(tmp_path, FORKS), tmp_path / "input.txt", tmp_path / "out"
    source.write_text("line\n")
    ended = shared_daemons.submit(job, source, "-o", output)
    assert ended.code == 0, ended.stderr
    ((_, counts),) = [line.rstrip().split(b"\t") for line in lines_of(output)]
    ours, theirs = map(int, counts.strip(b"[]").split(b","))
    assert ours > 0, "it has spilled"
    assert theirs == 0
