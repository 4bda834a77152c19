"""The contract's third line on real devices, by the system calls of a mapper: flush, then publish."""

from __future__ import annotations

import os
import re
import shutil
import sys
from itertools import groupby, takewhile
from pathlib import Path

import pytest

from tests.block.disks import OWNER, Disk, tool

pytestmark = pytest.mark.root

if shutil.which("strace") is None:
    pytest.skip("strace is not installed", allow_module_level=True)

MAPPER = """
import os, pathlib, sys
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.volume.opening import open_own
from blfs_mr.wire.messages.child import PublishMapOutput
from tests.unit.taskrun.conftest import Worker, load, spec_of

class Told(Worker):
    def request(self, message, **options):
        if isinstance(message, PublishMapOutput):
            os.write(1, b"PublishMapOutput")
        return super().request(message, **options)

layout, root, device, owner, folder = sys.argv[1:]
volume = open_own(VolumeLayout(layout), root, device, WorkerName(owner))
loaded = load("import hashlib\\nclass Wide(Job):\\n def map(self, record):\\n"
              "  for n in range(3000): yield n, hashlib.md5(b'%d' % n).hexdigest()\\n"
              " def reduce(self, key, values): pass\\n")
Told(pathlib.Path(folder), volume).map(spec_of(loaded, block_size=4096), loaded, "x\\n")
volume.close()
"""


def test_every_file_then_the_device_is_flushed_before_readers_are_told(
    attached: Disk, tmp_path: Path
) -> None:
    trace, own = tmp_path / "trace", attached.own
    tool(
        "strace", "-f", "-y", "-qq", "-s", "64", "-o", str(trace), "-e", "trace=pwrite64,fsync,write",
        sys.executable, "-c", MAPPER, own.layout.value, own.root, own.device, OWNER, str(tmp_path),
    )  # fmt: skip
    calls = [
        call for line in trace.read_text(errors="replace").splitlines() if (call := what(line, own.device))
    ]
    told = calls.index("told")
    assert not [call for call in calls[told:] if call.startswith("write")]
    before = [call for call, _ in groupby(calls[:told])]
    if own.root:
        files = [call.removeprefix("write ") for call in before if call.startswith("write ")]
        assert len(files) == len(set(files)) > 1
        assert before[-len(files) - 1 :] == [*(f"fsync {name}" for name in files), "fsync device"]
    else:
        # Each file's descriptor is one of the device, so that its flush looks like the device's own.
        flushes = list(takewhile(lambda call: call == "fsync device", reversed(calls[:told])))
        assert len(flushes) > 1
        assert "write device" in before


def what(line: str, device: str) -> str:
    """What a system call does to shared files, their device, or the link; empty for anything else."""
    if re.search(r'write\(1<.*"PublishMapOutput', line):
        return "told"
    found = re.search(r"(pwrite64|fsync)\(\d+<([^<>]*)", line)
    if found is None:
        return ""
    call, path = found[1].removeprefix("p").removesuffix("64"), found[2]
    name = "device" if path == device else os.path.basename(path)
    # The claim is written before and after, and flushed by O_DSYNC.
    place = re.search(r", (\d+)\) *= \d+$", line)
    is_claim = name == "volume.superblock" or (
        name == "device" and place is not None and int(place[1]) < 1 << 20
    )
    return "" if is_claim or not (name == "device" or name.startswith("shared-")) else f"{call} {name}"
