"""A job's folders: tasks of another user write in those that they are given, and beside them not."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blfs_mr.model import UNCOMMITTED, JobId
from daemons.job_folders import ROOMS, JobFolders
from daemons.task_user import SHARED, TaskUser

JOB = JobId("00" * 8)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="another user's processes need root")


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that every user can enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@pytest.fixture
def user() -> TaskUser:
    found = pwd.getpwnam("nobody")
    return TaskUser(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)


def can(user: TaskUser, *command: object) -> bool:
    ended = subprocess.run(
        [str(word) for word in command],
        user=user.uid,
        group=user.gid,
        extra_groups=(),
        capture_output=True,
        check=False,
    )
    return ended.returncode == 0


async def test_tasks_write_in_their_folders_and_can_put_nothing_in_the_place_of_one(
    scratch: Path, user: TaskUser
) -> None:
    folders = JobFolders(scratch, scratch / "output", JOB, user)
    source = await folders.place_source(1, b"source")
    await folders.make_scratch("reduce-00000.1")
    for folder in (source.parent, folders.scratch("reduce-00000.1")):
        assert can(user, "touch", folder / "file")
        assert not can(user, "mv", folder, folder.with_name("other"))
        assert not can(user, "ln", "-s", "/etc/shadow", folder.with_name("launcher-2"))
    assert can(user, "cat", source)


async def test_tasks_get_the_folder_of_a_job_file_only_once_that_is_in_it(
    scratch: Path, user: TaskUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    give = TaskUser.give

    def watched(self: TaskUser, path: Path, mode: int) -> None:
        if mode == SHARED:
            found.append([file.read_bytes() for file in path.iterdir()])
        give(self, path, mode)

    monkeypatch.setattr(TaskUser, "give", watched)
    await JobFolders(scratch, scratch / "output", JOB, user).place_source(1, b"source")
    assert found == [[b"source"]]
    assert [room.stat().st_mode & 0o022 for room in (scratch / ROOMS).iterdir()] == [0]


async def test_tasks_reach_an_output_when_it_is_committed_and_not_before(
    scratch: Path, user: TaskUser
) -> None:
    output = scratch / "output" / "job"
    await JobFolders(scratch, scratch / "output", JOB, user).make_output(output)
    for part in (output / UNCOMMITTED / "part-00000.1", output / "part-00000"):
        part.touch()
        user.give(part, 0o660)
    assert can(user, "cat", output / "part-00000")
    assert not can(user, "cat", output / UNCOMMITTED / "part-00000.1")
