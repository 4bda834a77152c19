"""Jobs on a cluster under test: their input, their program, what comes out."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Sequence

from tests.cluster.controls import Controls
from tests.cluster.host import Host
from tests.cluster.tools import wait_until

GATE = "/var/tmp/gate"
"""Reduce tasks of a gated job wait for this file on their host."""

_PROGRAM = f'''
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
        until = time.monotonic() + 300
        while self.gated and not os.path.exists("{GATE}") and time.monotonic() < until:
            time.sleep(0.1)
        yield key, sum(values)
'''

EVERYWHERE = "everywhere"
"""The name of the input that all workers hold. Otherwise it is on the submitter's host alone."""


def random_text(seed: int, lines: int) -> str:
    """Lines of words of which some are frequent and many are rare."""
    chance = random.Random(seed)
    words = [f"word{chance.randrange(1 << 16) >> chance.randrange(14)}" for _ in range(8 * lines)]
    return "\n".join(" ".join(words[at : at + 8]) for at in range(0, len(words), 8)) + "\n"


class Jobs:
    """Submits jobs on the first of ``hosts``, which runs the master; all of them run workers."""

    def __init__(self, controls: Controls, hosts: Sequence[Host]) -> None:
        master = self._master = hosts[0]
        self._hosts = hosts
        credentials = controls.folder / "submitter"
        controls.cluster("credentials", "tests", "--output", credentials)
        packed = subprocess.run(
            ["tar", "-C", controls.folder, "-c", credentials.name], capture_output=True, check=True
        )
        master.run("tar -C /root --no-same-owner -x", given=packed.stdout)
        self.text = random_text(7, 4000)
        self.counts = Counter(self.text.split())
        self.input, self.program = controls.folder / "input.txt", controls.folder / "count.py"
        self.input.write_text(self.text)
        self.program.write_text(_PROGRAM)
        for path in (self.input, self.program):
            master.run(f"cat >/var/tmp/{path.name}", given=path.read_bytes())
        copies = ["--replicas", str(len(hosts)), "--split-size", "32KiB"]
        controls.command("input", "--config", controls.config, "put", self.input, EVERYWHERE, *copies)

    def command(self, output: str, *, gated: bool = False, everywhere: bool = False) -> str:
        """Shell text that runs a job; its maps run ``everywhere`` if asked."""
        source = EVERYWHERE if everywhere else self.input.name
        return (
            "cd /var/tmp && exec /opt/blfs-mr/bin/python -m blfs_mr.submit "
            f"--config /root/submitter/config.toml --master {self._master.address}:7070 {self.program.name} "
            f"{source} -o {output} --split-size 32KiB --reducers 6 -p gated={int(gated)}"
        )

    def start(self, output: str, *, everywhere: bool = False) -> subprocess.Popen[bytes]:
        """Begin a gated job."""
        for host in self._hosts:
            host.run(f"rm -f {GATE}")
        return self._master.start(self.command(output, gated=True, everywhere=everywhere))

    def run(self, output: str) -> None:
        """Run a job and check what comes out."""
        self._master.run(self.command(output))
        self.check(output, self._hosts)

    def check(self, output: str, hosts: Sequence[Host]) -> None:
        """The output on the workers of ``hosts`` together must be every word with its count."""
        found: Counter[str] = Counter()
        for host in hosts:
            text = host.run(f"cat /var/lib/blfs-mr/output/{host.name}/{output}/part-* 2>/dev/null || true")
            for line in text.splitlines():
                word, _, count = line.partition("\t")
                assert word not in found
                found[word] = int(count)
        assert found == self.counts

    def wait_for_reduces(self, job: subprocess.Popen[bytes], host: Host) -> None:
        """Return when reduce tasks of ``job`` run on ``host``."""

        def reducing() -> bool:
            assert job.poll() is None, f"the job ended early: {job.communicate()[0].decode()}"
            return self._reducing(host)

        wait_until(reducing, f"reduce tasks run on {host.name}")

    def _reducing(self, host: Host) -> bool:
        logs = host.run("find /var/lib/blfs-mr/scratch -name '*reduce*' 2>/dev/null | head -n 1")
        return bool(logs.strip())
