"""What a worker does when two things come at a time."""

from __future__ import annotations

import asyncio
from typing import cast

from blfs_mr.model import JobId
from daemons.job import JobOnWorker
from daemons.worker import Worker


class SlowJob:
    """Ends when it may, and remembers how far that came."""

    def __init__(self) -> None:
        self.stopping, self.may_end, self.story = asyncio.Event(), asyncio.Event(), list[str]()

    async def stop(self) -> None:
        self.story.append("stops")
        self.stopping.set()
        await self.may_end.wait()

    async def delete_files(self, keep_output: bool) -> None:
        self.story.append("deleted")


async def test_a_worker_that_is_stopped_while_it_drops_its_jobs_drops_them_all() -> None:
    # Its life begins with a volume and processes, none of which matter here.
    worker = Worker.__new__(Worker)
    jobs = [SlowJob(), SlowJob()]
    worker._jobs = {JobId(str(number)): cast(JobOnWorker, job) for number, job in enumerate(jobs)}
    worker._cleaning = set()
    dropping = asyncio.create_task(worker._drop_everything())
    await jobs[0].stopping.wait()
    dropping.cancel()
    await asyncio.wait((dropping,))
    for job in jobs:
        job.may_end.set()
    await asyncio.wait_for(worker._drop_everything(), 60)
    assert [job.story for job in jobs] == [["stops", "deleted"]] * 2
