"""Jobs on a cluster under test: their input, their programs, what comes out."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Sequence
from difflib import unified_diff

from tests.cluster.controls import Controls
from tests.cluster.host import Host
from tests.cluster.tools import wait_until

GATE = "/var/tmp/gate"
"""Reduce tasks of a gated job wait for this file on their host."""

TEXT = "text"
"""The name of the input that is put on the workers."""

_COUNT = f'''
import os, time
from blfs_mr import Job, Param


class Count(Job):
    gated = Param(int, default=0, help="whether reduce tasks wait")

    def map(self, record):
        for word in record.split():
            yield word, 1

    def combine(self, key, values):
        yield key, sum(values)

    def reduce(self, key, values):
        until = time.monotonic() + 900
        while self.gated and not os.path.exists("{GATE}") and time.monotonic() < until:
            time.sleep(0.1)
        yield key, sum(values)
'''

_SORT = """
from blfs_mr import Job


class Sort(Job):
    total_order = True

    def map(self, record):
        yield record, 1

    def reduce(self, key, values):
        yield key, sum(values)
"""


def random_text(seed: int, lines: int) -> str:
    """Lines of words of which some are frequent and many are rare."""
    chance = random.Random(seed)
    words = [f"word{chance.randrange(1 << 16) >> chance.randrange(14)}" for _ in range(8 * lines)]
    return "\n".join(" ".join(words[at : at + 8]) for at in range(0, len(words), 8)) + "\n"


class Jobs:
    """The operator's jobs on ``hosts``, of which the first runs the master; and one of a submitter there."""

    def __init__(self, controls: Controls, hosts: Sequence[Host]) -> None:
        self._controls, self._hosts, self._master = controls, hosts, hosts[0]
        self.text = random_text(7, 12_000)
        self.counts = Counter(self.text.split())
        self.program, self._sort = controls.folder / "count.py", controls.folder / "sort.py"
        self.program.write_text(_COUNT, "utf-8")
        self._sort.write_text(_SORT, "utf-8")
        source = controls.folder / "text.txt"
        source.write_text(self.text, "utf-8")
        self._family("input", "put", "--split-size", "96KiB", source, TEXT)

    def run(self, output: str) -> None:
        """Count words, and check what comes out."""
        self._controls.submit(*self._count(output))
        self.check(output)

    def start(self, output: str) -> subprocess.Popen[bytes]:
        """Begin to count words; reduce tasks wait at the gate."""
        for host in self._hosts:
            host.run(f"rm -f {GATE}")
        return self._controls.start_job(*self._count(output), "-p", "gated=1")

    def wait_for_reduces(self, job: subprocess.Popen[bytes], host: Host) -> None:
        """Return when reduce tasks of ``job`` run on ``host``."""
        find = "find /var/lib/blfs-mr/scratch -name '*reduce*' 2>/dev/null | head -n 1"

        def reducing() -> bool:
            assert job.poll() is None, f"the job ended early: {job.communicate()[0].decode()}"
            return bool(host.run(find).strip())

        wait_until(reducing, f"reduce tasks run on {host.name}")

    def end(self, job: subprocess.Popen[bytes], hosts: Sequence[Host], deadline: float) -> str:
        """Open the gates of ``hosts``; what ``job`` says, which must end well within ``deadline`` seconds."""
        for host in hosts:
            host.run(f"touch {GATE}")
        said = job.communicate(timeout=deadline)[0].decode()
        assert job.returncode == 0, said
        return said

    def check(self, output: str) -> None:
        """An output must be every word with its count."""
        found: Counter[str] = Counter()
        for line in self._result(output).splitlines():
            word, _, count = line.partition("\t")
            assert word not in found
            found[word] = int(count)
        assert found == self.counts

    def sort_as_submitter(self, output: str) -> None:
        """Sort the lines, submitted on the master's host with credentials of its own; check the order."""
        credentials = self._controls.folder / "submitter"
        self._controls.cluster("credentials", "tests", "--output", credentials)
        packed = subprocess.run(
            ["tar", "-C", self._controls.folder, "-c", credentials.name, self._sort.name],
            capture_output=True,
            check=True,
        )
        self._master.run("tar -C /root --no-same-owner -x", given=packed.stdout)
        self._master.run(
            "cd /root && /opt/blfs-mr/bin/python -m blfs_mr.submit --config submitter/config.toml "
            f"{self._sort.name} {TEXT} -o {output} --reducers 3"
        )
        listed = self._master.run(f"cat /root/{output}.meta")
        (self._controls.folder / f"{output}.meta").write_text(listed, "utf-8")
        lines = Counter(self.text.splitlines())
        found, expected = self._result(output), "".join(f"{line}\t{lines[line]}\n" for line in sorted(lines))
        assert found == expected, "".join(
            list(unified_diff(*(text.splitlines(True) for text in (expected, found))))[:40]
        )

    def _count(self, output: str) -> list[str]:
        return [str(self.program), TEXT, "-o", output, "--reducers", "6"]

    def _result(self, output: str) -> str:
        return self._family("output", "cat", f"{output}.meta")

    def _family(self, family: str, *arguments: str | object) -> str:
        return self._controls.command(family, "--config", self._controls.config, *map(str, arguments))
